// `npm run verify`: everything that is checked besides the tests. `npm run verify -- types lint` runs only those.

import { spawn } from 'node:child_process';
import { root } from './packages.ts';
import { bin } from './run.ts';

const node = process.execPath;

/** In order: what is quick and fails often first, what needs the build after it. */
const checks: Readonly<Record<string, readonly [string, ...string[]]>> = {
  lint: [bin('biome'), 'check', '--error-on-warnings', '.'],
  directions: [node, 'scripts/check-directions.ts'],
  links: [node, 'scripts/check-doc-links.ts'],
  snippets: [node, 'scripts/check-doc-snippets.ts'],
  lockfile: [node, 'scripts/lockfile.ts'],
  unused: [bin('knip'), '--no-progress'],
  types: [bin('tsc'), '--noEmit'],
  generated: [node, 'scripts/generate-proto.ts', '--check'],
  build: [node, 'scripts/build.ts'],
  packages: [node, 'scripts/check-packages.ts'],
  install: [node, 'scripts/check-install.ts'],
  container: [node, 'scripts/check-container.ts'],
  next: [node, 'scripts/check-next.ts'],
};

/** Longest that one check may take, in milliseconds; all together take about two minutes on two cores. */
const CHECK_MS = 180_000;

interface Outcome {
  readonly name: string;
  readonly passed: boolean;
  readonly output: string;
}

async function perform(name: string, [command, ...args]: readonly [string, ...string[]]): Promise<Outcome> {
  const start = performance.now();
  const outcome = await new Promise<Outcome>((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], timeout: CHECK_MS });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.on('error', (error) => resolve({ name, passed: false, output: error.message }));
    child.on('close', (code, signal) =>
      resolve({ name, passed: code === 0, output: signal ? `${output}\nended by ${signal}` : output }),
    );
  });
  const seconds = ((performance.now() - start) / 1_000).toFixed(1).padStart(6);
  console.log(`${outcome.passed ? 'ok    ' : 'FAILED'}  ${name.padEnd(12)}${seconds} s`);
  return outcome;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in checks));
if (unknown.length > 0) {
  console.error(`There is no check "${unknown[0]}". There are: ${Object.keys(checks).join(', ')}.`);
  process.exit(2);
}

const outcomes: Outcome[] = [];
for (const [name, command] of Object.entries(checks))
  if (wanted.length === 0 || wanted.includes(name)) outcomes.push(await perform(name, command));
const failed = outcomes.filter(({ passed }) => !passed);
for (const { name, output } of failed) console.log(`\n── ${name} ──\n${output.trim()}`);
console.log(`\nverify: ${outcomes.length - failed.length} passed, ${failed.length} failed`);
process.exitCode = failed.length > 0 ? 1 : 0;
