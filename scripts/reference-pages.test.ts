// The reference pages that repeat what the code declares are held equal to it.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as core from '@ironflow/core';
import { invokeTimeoutMsDefault, waitTimeoutMsDefault } from '@ironflow/core/wire';
import * as engine from '@ironflow/engine';
import { describe, expect, test } from 'vitest';
import { tables } from '../engine/src/store/tables.ts';
import { root } from './packages.ts';

const page = (name: string) => readFileSync(join(root, 'docs/reference', name), 'utf8');

/** The rows of the first table whose first heading is `first`, as their cells. */
function rowsOf(text: string, first: string): string[][] {
  const [, table = ''] = text.split(`\n| ${first} |`, 2);
  const lines = table.split('\n\n', 1).join('').trim().split('\n').slice(2);
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`|`$/g, '')),
  );
}

describe('docs/reference/errors.md', () => {
  test('lists every code of the catalogue as it is', () => {
    const listed = rowsOf(page('errors.md'), 'code').map(([code, retryable, status]) => [
      code,
      retryable,
      Number(status),
    ]);
    const declared = Object.entries(core.errorCatalogue).map(([code, entry]) => [
      code,
      entry.retryable ? 'yes' : 'no',
      entry.status,
    ]);
    expect(listed).toEqual(declared);
  });

  test('lists every class of error that users meet', () => {
    // One that names a broken invariant is a defect: its users are those who repair it.
    const classes = Object.entries({ ...core, ...engine })
      .filter(([name, value]) => isErrorClass(value) && name !== 'InvariantError')
      .map(([name]) => name);
    const listed = rowsOf(page('errors.md'), 'class').map(([name]) => name);
    expect(listed.toSorted()).toEqual(classes.sort());
  });
});

function isErrorClass(value: unknown): boolean {
  if (typeof value !== 'function') return false;
  return value === core.IronflowError || value.prototype instanceof core.IronflowError;
}

test('docs/reference/limits.md lists every limit with its value', () => {
  const listed = rowsOf(page('limits.md'), 'limit').map(([name, value = '']) => [
    name,
    Number(value.replaceAll(',', '')),
  ]);
  expect(listed).toEqual(Object.entries(core.limits));
});

describe('docs/reference/tables.md', () => {
  const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

  const [, ...parts] = page('tables.md').split(/^## /m);
  const partOf = (name: string) => parts.find((part) => part.startsWith(`${name}\n`)) ?? '';

  test('has a part for every table', () => {
    const names = parts.map((part) => part.split('\n', 1).join(''));
    expect(names).toEqual(tables.map(({ name }) => snakeCase(name)));
  });

  test.each(tables.map((table) => [table.name, table] as const))('lists the columns of %s', (_, table) => {
    const listed = rowsOf(partOf(snakeCase(table.name)), 'column').map(([name, type]) => [name, type]);
    const declared = Object.entries(table.columns).map(([name, { type, nullable }]) => [
      snakeCase(name),
      nullable ? `${type} or null` : type,
    ]);
    expect(listed).toEqual(declared);
  });
});

test('docs/guides/doctor.md tells of every check, and of no other', () => {
  const room = join(root, 'engine/src/doctor');
  const files = readdirSync(room).filter((name) => !name.endsWith('.test.ts'));
  const sources = files.map((name) => readFileSync(join(room, name), 'utf8'));
  const inCode = new Set(sources.flatMap((text) => [...text.matchAll(/check: '([a-z-]+)'/g)].map(([, name]) => name)));
  const guide = readFileSync(join(root, 'docs/guides/doctor.md'), 'utf8');
  const [, table = ''] = guide.split('## What is looked for');
  const told = table
    .split('\n')
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([a-z-]+)`/g)].map(([, name]) => name));
  expect(told.toSorted()).toEqual([...inCode].sort());
});

describe('docs/reference/steps/', () => {
  const folder = join(root, 'docs/reference/steps');
  const pages = readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')] as const);
  const pageOf = (name: string) => readFileSync(join(folder, name), 'utf8');
  const fieldsOf = (file: string, name: string) => {
    const text = readFileSync(join(root, file), 'utf8');
    const [, body = ''] = new RegExp(`^export interface ${name}\\b[^]*?\\{\n([^]*?)^\\}`, 'm').exec(text) ?? [];
    return [...body.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, field]) => field).sort();
  };

  test.each([
    ['run.md', 'option', 'src/step/options.ts', 'StepOptions'],
    ['run.md', 'field', 'src/execution/body.ts', 'StepContext'],
    ['wait-for-event.md', 'field', 'src/step/options.ts', 'EventFilter'],
    ['invoke.md', 'option', 'src/step/options.ts', 'InvokeOptions'],
    ['parallel.md', 'option', 'src/step/options.ts', 'ParallelOptions'],
    ['map.md', 'option', 'src/step/options.ts', 'ParallelOptions'],
  ])('%s lists each %s of %s, %s', (name, heading, file, type) => {
    const declared = fieldsOf(file, type);
    expect(declared.length).toBeGreaterThan(0);
    const listed = rowsOf(pageOf(name), heading).map(([field]) => field);
    expect(listed.toSorted()).toEqual(declared);
  });

  test('the defaults are those of the code', () => {
    const defaultOf = (name: string, heading: string) =>
      rowsOf(pageOf(name), heading).find(([field]) => field === 'timeout')?.[3];
    const days = `${waitTimeoutMsDefault / 86_400_000} days`;
    expect([defaultOf('wait-for-event.md', 'field'), defaultOf('wait-for-any.md', 'field')]).toEqual([days, days]);
    expect(defaultOf('invoke.md', 'option')).toBe(`${invokeTimeoutMsDefault / 1_000} s`);
    const { maxAttempts, initialDelayMs, backoffFactor, maxDelayMs } = core.retryPolicyDefault;
    expect(pageOf('run.md')).toContain(
      `maxAttempts: ${maxAttempts}, initialDelayMs: ${initialDelayMs}, backoffFactor: ${backoffFactor}, maxDelayMs: ${maxDelayMs}`,
    );
  });

  test.each(pages)('%s has its parts, and names errors and codes that there are', (name, text) => {
    const headings = [...text.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(
      expect.arrayContaining(['When to use it', 'Example', 'What is recorded', 'Limits', 'Errors', 'Related']),
    );
    const errors = rowsOf(text, 'error');
    expect(errors.length).toBeGreaterThan(0);
    for (const [error = '', codes = ''] of errors) {
      for (const [, type = ''] of error.matchAll(/(\w+Error)\b/g))
        expect(core, `${name}: ${type}`).toHaveProperty(type);
      for (const [code] of codes.matchAll(/[A-Z]+(?:_[A-Z]+)+/g)) expect(core.isErrorCode(code), code).toBe(true);
    }
    expect(page('steps.md'), 'the index').toContain(`](steps/${name})`);
  });
});
