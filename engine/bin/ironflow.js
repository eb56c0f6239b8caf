#!/usr/bin/env node
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 13)) {
  console.error(`ironflow needs Node.js 22.13 or newer; this is ${process.version} (${process.execPath}).`);
  process.exit(1);
}
import('../dist/cli/main.js').then(
  ({ main }) => main(process.argv.slice(2)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
