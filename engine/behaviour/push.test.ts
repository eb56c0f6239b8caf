import { describeBehaviour } from './suite.ts';
import { openPush } from './transports.ts';

describeBehaviour('push', openPush);
