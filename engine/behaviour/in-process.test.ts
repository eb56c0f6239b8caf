import { describeBehaviour } from './suite.ts';
import { openInProcess } from './transports.ts';

describeBehaviour('in-process', openInProcess);
