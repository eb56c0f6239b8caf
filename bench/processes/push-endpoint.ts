import { createServer } from 'node:http';
import { serve } from '@ironflow/node';
import { flat, steps } from '../functions.ts';

const handler = serve({ functions: [steps, flat], logger: false, skipVerification: true });
createServer((request, response) => void handler(request, response)).listen(Number(process.argv[2]), '127.0.0.1');
