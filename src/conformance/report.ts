// What is told of a run: a table for people, JSON for programs.
import type { Paint } from '../cli/output/colour.js';
import { table } from '../cli/output/table.js';
import type { Finding, Outcome } from './rule.js';

const TONES = { kept: 'good', broken: 'bad', skipped: 'quiet' } as const;

export function asTable(findings: readonly Finding[], paint: Paint): string {
  const rows = findings.map(({ id, promise, from, outcome, detail }) => [
    { text: outcome, tone: TONES[outcome] },
    id,
    detail === '' ? promise : `${promise} — ${detail}`,
    from,
  ]);
  const { kept, broken, skipped } = counts(findings);
  return `${table(['OUTCOME', 'RULE', 'PROMISE', 'FROM'], rows, paint)}\n${kept} kept, ${broken} broken, ${skipped} skipped\n`;
}

export function asJson(target: string, findings: readonly Finding[]): string {
  return `${JSON.stringify({ target, ...counts(findings), findings }, undefined, 2)}\n`;
}

function counts(findings: readonly Finding[]): Readonly<Record<Outcome, number>> {
  const of = (outcome: Outcome) => findings.filter((finding) => finding.outcome === outcome).length;
  return { kept: of('kept'), broken: of('broken'), skipped: of('skipped') };
}
