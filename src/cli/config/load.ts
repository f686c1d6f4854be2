// Reading a YAML file against a schema, with errors that a person can act on: which key, which line, what is allowed.
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Document, isMap, isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { describe } from '../../kernel/fault.js';
import { systemCode } from '../../kernel/system-error.js';
import { CliFault } from '../fault.js';
import { oneLine } from '../output/text.js';

const MAX_BYTES = 1_048_576;

/** Faults: cli.config, whose message names every problem. `keys` is what may stand in the file. */
export async function loadYaml<T>(path: string, schema: z.ZodType<T>, keys: readonly string[]): Promise<T> {
  return parseYaml(await readText(path), basename(path), schema, keys);
}

/** The text of a small file. Faults: cli.config. */
export async function readText(path: string): Promise<string> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    if (size > MAX_BYTES) throw new CliFault('cli.config', `${path} is too long to be a configuration file`);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof CliFault) throw cause;
    const why = WHY[systemCode(cause) ?? ''] ?? 'cannot be read';
    throw new CliFault('cli.config', `${path} ${why}`, { cause, advice: 'Check the path and who may read it.' });
  }
}

const WHY: { readonly [code: string]: string } = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read by this user',
  EISDIR: 'is a directory',
};

export function parseYaml<T>(text: string, name: string, schema: z.ZodType<T>, keys: readonly string[]): T {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken) {
    throw unusable(name, [`line ${lines.linePos(broken.pos[0]).line}: ${oneLine(broken.message)}`], keys);
  }
  if (document.contents !== null && !isMap(document.contents)) {
    throw unusable(name, ['it must hold keys and values, like "data: /var/lib/occ/hub"'], keys);
  }
  const result = schema.safeParse(contentOf(document, name, keys) ?? {});
  if (result.success) return result.data;
  const problems = result.error.issues.flatMap((issue) => problemsOf(issue, document, lines, keys));
  throw unusable(name, problems, keys);
}

/** Aliases are bounded: a few lines of them can stand for gigabytes. */
function contentOf(document: Document, name: string, keys: readonly string[]): unknown {
  try {
    return document.toJS({ maxAliasCount: 10 });
  } catch (thrown) {
    throw unusable(name, [oneLine(describe(thrown))], keys);
  }
}

function unusable(name: string, problems: readonly string[], keys: readonly string[]): CliFault {
  const message =
    problems.length === 1 ? `${name}: ${problems[0]}` : `${name}:\n${problems.map((p) => `  ${p}`).join('\n')}`;
  return new CliFault('cli.config', message, { advice: `The keys of this file are ${keys.join(', ')}.` });
}

function problemsOf(
  issue: z.core.$ZodIssue,
  document: Document,
  lines: LineCounter,
  keys: readonly string[],
): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const meant = nearest(key, keys);
      const hint = meant === undefined ? '' : `; did you mean "${meant}"?`;
      return `${lineOf(document, [...issue.path, key], lines)}"${oneLine(key)}" is not a key of this file${hint}`;
    });
  }
  const key = issue.path.map(String).join('.');
  return [`${lineOf(document, issue.path, lines)}"${key}" is not good: ${wording(issue)}`];
}

/** What the types of YAML are called among people. */
const TYPES: { readonly [type: string]: string } = {
  array: 'a list',
  boolean: 'true or false',
  string: 'text',
  number: 'a number',
  object: 'keys and values',
};

function wording(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') {
    return issue.input === undefined && issue.message.includes('undefined')
      ? 'it is missing'
      : `it must be ${TYPES[issue.expected] ?? issue.expected}`;
  }
  if (issue.code === 'invalid_union') return 'it must be one text or number';
  return issue.message;
}

/** `line 3: `, or nothing for a key that is not there. */
function lineOf(document: Document, path: readonly PropertyKey[], lines: LineCounter): string {
  const parent: unknown = path.length <= 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find(({ key }) => isNode(key) && String(key) === String(last));
    if (isNode(pair?.key) && pair.key.range) return `line ${lines.linePos(pair.key.range[0]).line}: `;
  }
  const node: unknown = document.getIn(path, true);
  return isNode(node) && node.range ? `line ${lines.linePos(node.range[0]).line}: ` : '';
}

/** The key that was probably meant: one or two letters away. */
export function nearest(wanted: string, known: readonly string[]): string | undefined {
  const ranked = known.map((key) => ({ key, far: distance(wanted.toLowerCase(), key.toLowerCase()) }));
  const best = ranked.sort((a, b) => a.far - b.far)[0];
  return best !== undefined && best.far <= 2 ? best.key : undefined;
}

/** Levenshtein distance, row by row. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const change = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(change, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 3;
}
