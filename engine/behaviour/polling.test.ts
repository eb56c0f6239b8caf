import { describeBehaviour } from './suite.ts';
import { openPolling } from './transports.ts';

describeBehaviour('polling', openPolling);
