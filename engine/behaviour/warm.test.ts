// The same functions where suspended executions are never kept, and where they are let go of at any moment: nobody can tell.
// (The other files of this folder keep them.)

import { describeBehaviour } from './suite.ts';
import { openInProcess, openPolling, openStreaming } from './transports.ts';

/** Durations in the suite are some milliseconds: an execution is let go of before its wait is met, or just as it is, or not. */
const fleeting = { max: 3, keepMs: 8 };

describeBehaviour('in-process, nothing kept', () => openInProcess(false));
describeBehaviour('in-process, kept fleetingly', () => openInProcess(fleeting));
describeBehaviour('polling, nothing kept', () => openPolling(false));
describeBehaviour('polling, kept fleetingly', () => openPolling(fleeting));
describeBehaviour('streaming, nothing kept', () => openStreaming(false));
describeBehaviour('streaming, kept fleetingly', () => openStreaming(fleeting));
