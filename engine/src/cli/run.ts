// Runs the program from its sources; bin/ironflow.js runs what is built.

import { main } from './main.ts';

await main(process.argv.slice(2));
