import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { conditions: ['ironflow-source'] },
  ssr: { resolve: { conditions: ['ironflow-source', 'node', 'import'] } },
  test: {
    include: ['{src,core,engine,examples,bench,scripts}/**/*.test.ts'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
