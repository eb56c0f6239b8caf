// The results as Markdown: a table for each workload, and what runs how.

import type { Contender } from './contender.ts';
import type { Measurement } from './session.ts';
import { quantile, type Sizes, workloads } from './workloads.ts';

export interface ContenderReport {
  readonly info: Contender['info'];
  /** By workload, one for each round. */
  readonly rounds: Record<string, Measurement[]>;
  /** By workload: calls that force data to disk, for each step. */
  readonly syncsPerStep: Record<string, number>;
  readonly failures: string[];
}

export interface Report {
  readonly at: string;
  readonly command: string;
  readonly machine: string;
  readonly rounds: number;
  readonly sizes: Sizes;
  readonly contenders: Record<string, ContenderReport>;
  readonly leftOut: Record<string, string>;
}

export function markdown(report: Report): string {
  const names = Object.keys(report.contenders);
  const sections = Object.keys(workloads)
    .filter((workload) => names.some((name) => report.contenders[name]?.rounds[workload]?.length))
    .map((workload) => section(report, workload));
  return [
    `# Side by side`,
    '',
    `${report.at.slice(0, 16).replace('T', ' ')} UTC; ${report.machine}. \`${report.command}\``,
    '',
    `Medians of ${report.rounds} rounds with the range; the contenders took turns in each round. Every result of every run is checked.`,
    ...sections,
    ...contendersSection(report),
    '',
  ].join('\n');
}

function section(report: Report, workload: string): string {
  const { title = '', columns = {} } = workloads[workload] ?? {};
  const rows = Object.entries(report.contenders).filter(([, { rounds }]) => rounds[workload]?.length);
  const extra = [...new Set(rows.flatMap(([, { rounds }]) => Object.keys(rounds[workload]?.[0]?.figures ?? {})))]
    .filter((name) => name.startsWith('bytesPerSleeper.') || name.startsWith('idleCorePercent.'))
    .sort();
  const heads = [
    ...Object.values(columns),
    ...extra.map(extraTitle),
    'cores used',
    'peak MiB',
    'others’ cores, most',
    ...(rows.some(([, { syncsPerStep }]) => workload in syncsPerStep) ? ['syncs a step'] : []),
  ];
  const lines = rows.map(([name, { rounds, syncsPerStep }]) => {
    const measured = rounds[workload] ?? [];
    const cells = [
      ...[...Object.keys(columns), ...extra].map((figure) => cell(measured.map(({ figures }) => figures[figure]))),
      byRole(measured.map(({ cores }) => cores)),
      byRole(measured.map(({ peakMiB }) => peakMiB)),
      digits(Math.max(...measured.map(({ foreignCores }) => foreignCores))),
      ...(workload in syncsPerStep
        ? [digits(syncsPerStep[workload] ?? Number.NaN)]
        : heads.includes('syncs a step')
          ? ['–']
          : []),
    ];
    return `| ${name} | ${cells.join(' | ')} |`;
  });
  return [
    '',
    `## ${workload}: ${title}`,
    '',
    `${sizesOf(report.sizes, workload)}`,
    '',
    `| | ${heads.join(' | ')} |`,
    `|${'---|'.repeat(heads.length + 1)}`,
    ...lines,
  ].join('\n');
}

const extraTitle = (name: string) => {
  const [what, role] = name.split('.');
  return what === 'bytesPerSleeper' ? `bytes a sleeper, ${role}` : `idle, % of a core, ${role}`;
};

function sizesOf(sizes: Sizes, workload: string): string {
  const said: Readonly<Record<string, string>> = {
    W1: `${sizes.inFlight} runs at a time for ${sizes.seconds} s.`,
    W2: `${sizes.latencies} runs a round.`,
    W3: `${sizes.sequence} steps.`,
    W4: `${sizes.fan} steps at once, ten times a round.`,
    W5: `${sizes.sleepers} runs that sleep ${sizes.sleepMs} ms.`,
    W6: `A run of ${sizes.flat} steps: medians of the 5th to the 44th and of the last 40.`,
    W7: `${sizes.latencies} runs a round.`,
    W8: `${Math.min(50, sizes.latencies)} runs of each kind a round.`,
    W9: `Outputs of ${sizes.largeBytes} bytes, ${Math.min(50, sizes.inFlight)} runs at a time for ${sizes.seconds} s.`,
    W10: `${sizes.idleSleepers} runs asleep; nothing else for ${sizes.idleSeconds} s.`,
    Q1: `${sizes.inFlight} jobs at a time for ${sizes.seconds} s.`,
    Q2: `5,000 jobs at most on their way, for ${sizes.seconds} s.`,
  };
  return said[workload] ?? '';
}

function contendersSection({ contenders, leftOut }: Report): string[] {
  const rows = Object.entries(contenders).map(([name, { info }]) => {
    const list = (values: Readonly<Record<string, string | number>> = {}) =>
      Object.entries(values)
        .map(([key, value]) => `${key} ${value}`)
        .join(', ');
    return `| ${name} | ${info.topology} | ${info.durability} | ${[list(info.versions), list(info.settings)].filter(Boolean).join('; ')} |`;
  });
  const troubles = [
    ...Object.entries(leftOut).map(([name, why]) => `- ${name} was left out: ${why}.`),
    ...Object.entries(contenders).flatMap(([name, { failures }]) => failures.map((why) => `- ${name}: ${why}`)),
  ];
  return [
    '',
    '## What ran how',
    '',
    '| | what runs where | synced | versions, settings |',
    '|---|---|---|---|',
    ...rows,
    ...(troubles.length > 0 ? ['', ...troubles] : []),
  ];
}

function cell(values: readonly (number | undefined)[]): string {
  const there = values.filter((value) => value !== undefined);
  if (there.length === 0) return '–';
  const median = digits(quantile(there, 0.5));
  return there.length === 1 ? median : `**${median}** (${digits(Math.min(...there))}–${digits(Math.max(...there))})`;
}

/** Medians by role. */
function byRole(values: readonly Readonly<Record<string, number>>[]): string {
  return Object.keys(values[0] ?? {})
    .map((role) => {
      const median = quantile(
        values.map((value) => value[role] ?? 0),
        0.5,
      );
      return `${role} ${digits(median)}`;
    })
    .join(', ');
}

function digits(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 100) return Math.round(value).toLocaleString('en');
  return value.toFixed(size >= 10 ? 1 : 2);
}
