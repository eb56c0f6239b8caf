import { describeBehaviour } from './suite.ts';
import { openStreaming } from './transports.ts';

describeBehaviour('streaming', openStreaming);
