import { defineConfig } from 'vitest/config';

/** Where .ci/run finds the results it counts. */
const report = process.env['IRONFLOW_TEST_REPORT'];

export default defineConfig({
  // Packages are tested from their sources.
  resolve: { conditions: ['ironflow-source'] },
  ssr: { resolve: { conditions: ['ironflow-source', 'node'] } },
  test: {
    include: ['{src,core,engine,examples,bench,scripts}/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    pool: 'forks', // tests start, kill and signal processes
    maxWorkers: '100%',
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
    // Types that users rely on are tested in *.test-d.ts; `npm run typecheck` reports errors anywhere else.
    typecheck: {
      enabled: true,
      include: ['{src,core,engine}/**/*.test-d.ts'],
      tsconfig: 'tsconfig.test-d.json',
      ignoreSourceErrors: true,
    },
  },
});
