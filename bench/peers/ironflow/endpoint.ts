// An application process with a push endpoint of Ironflow: node endpoint.ts <port>

import { createServer } from 'node:http';
import { serve } from '@ironflow/node';
import { functions } from './functions.ts';

const handler = serve({ functions, logger: false, skipVerification: true });
createServer((request, response) => void handler(request, response)).listen(Number(process.argv[2]), '127.0.0.1');
