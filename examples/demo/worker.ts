// The demo's worker, a process of its own.

import { createWorker } from '@ironflow/node';
import { createFunctions } from './functions.ts';
import { Ledger } from './ledger.ts';

const [ledgerPath = '', serverUrl = ''] = process.argv.slice(2);
const worker = createWorker({ serverUrl, functions: createFunctions(new Ledger(ledgerPath)), logger: false });
process.on('SIGTERM', () => void worker.drain());
await worker.start();
