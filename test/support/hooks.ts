// Root hooks of every test run: no file may leave anything open. When the first test of the next file begins, or all is
// over, the file before has run its last `after`; what keeps the process alive then, or is an open file in the folder
// for temporary files, it has left behind. All leaks are told at the end, so that one does not hide the others.
import { readdirSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { relative } from 'node:path';
import type { Context, RootHookObject } from 'mocha';

/** Closing takes its time; polls until then. */
const PATIENCE_MS = 3_000;
const POLL_MS = 20;
/** Work in progress, and mocha's own output; not resources. */
const PASSING = new Set(['Immediate', 'TickObject', 'FSReqCallback', 'FSReqPromise', 'PipeWrap', 'TTYWrap']);

type Census = ReadonlyMap<string, number>;

function count(names: readonly string[]): Census {
  const census = new Map<string, number>();
  for (const name of names) census.set(name, (census.get(name) ?? 0) + 1);
  return census;
}

/** Files that are open in the folder for temporary files: stores mostly. Linux only; elsewhere none are seen. */
function openFiles(): string[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(`${tmpdir()}/`) ? [path] : [];
    } catch {
      // The one that reads the directory.
      return [];
    }
  });
}

/** Everything that keeps this process alive, by kind. Pipes of children count as the children that they belong to. */
function census(): Census {
  const resources = process.getActiveResourcesInfo().filter((name) => !PASSING.has(name));
  return count([...resources, ...openFiles()]);
}

/** What there is more of than before. */
export function growth(before: Census, after: Census): string[] {
  return [...after].flatMap(([name, now]) => {
    const more = now - (before.get(name) ?? 0);
    return more > 0 ? [`${more} × ${name}`] : [];
  });
}

/** What is left of `before` once everything that was closing has closed. */
async function leftSince(before: Census): Promise<string[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const left = growth(before, census());
    if (left.length === 0 || performance.now() > deadline) return left;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

let baseline: Census = new Map();
let current: string | undefined;
const leaks: string[] = [];

/** Mocha arms a timer for a hook as soon as it has returned a promise; it is to be in every census. */
const hookTimer = () => Promise.resolve();

async function finish(file: string): Promise<void> {
  await hookTimer();
  const left = await leftSince(baseline);
  if (left.length === 0) return;
  leaks.push(`${relative(process.cwd(), file)} leaves open: ${left.join(', ')}`);
  process.stderr.write(`  LEAK: ${leaks.at(-1)}\n`);
  // Told once, and of the right file.
  baseline = census();
}

export const mochaHooks: RootHookObject = {
  async beforeAll() {
    await hookTimer();
    baseline = census();
  },
  async beforeEach(this: Context) {
    const file = this.currentTest?.file;
    if (file === current) return;
    if (current !== undefined) await finish(current);
    current = file;
  },
  async afterAll() {
    if (current !== undefined) await finish(current);
    if (leaks.length > 0) throw new Error(`tests left something open:\n${leaks.join('\n')}`);
  },
};
