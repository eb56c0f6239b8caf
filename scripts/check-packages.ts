// Checks the packed packages with publint (do the entries lead to files?) and attw (do types resolve where code does?).

import { withPacked } from './pack.ts';
import { bin, run } from './run.ts';

await withPacked(async (packed) => {
  for (const { tarball } of packed) {
    run(bin('publint'), ['run', '--strict', tarball]);
    // The packages are modules only: require() and resolution as before Node 12 are not offered.
    run(bin('attw'), ['--profile', 'esm-only', '--no-emoji', '--no-color', tarball]);
  }
});
