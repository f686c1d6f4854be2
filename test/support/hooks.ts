// Root hooks of every test run: nothing may be left open. After the last `after` of each outermost suite comes one more:
// what keeps the process alive then and did not at the start, or is an open file in the folder for temporary files,
// that suite has left behind. (In a root `beforeEach` it would be too late: the next suite's `before` has run by then.)
import { readdirSync, readlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { relative } from 'node:path';
import type { Context, RootHookObject, Suite } from 'mocha';

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
function growth(before: Census, after: Census): string[] {
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

/** Mocha arms a timer for a hook as soon as it has returned a promise; it is to be in every census. */
const hookTimer = () => Promise.resolve();

let baseline: Census = new Map();

async function leavesNothingOpen(suite: Suite): Promise<void> {
  await hookTimer();
  const left = await leftSince(baseline);
  if (left.length === 0) return;
  // The next suite is not to be blamed for it.
  baseline = census();
  const file = relative(process.cwd(), suite.file ?? suite.title);
  throw new Error(`${file} leaves open: ${left.join(', ')}`);
}

export const mochaHooks: RootHookObject = {
  async beforeAll(this: Context) {
    await hookTimer();
    baseline = census();
    const root = this.test?.parent;
    if (!root) throw new Error('Mocha has changed: a root hook does not know the root suite');
    for (const suite of root.suites) suite.afterAll('leaves nothing open', () => leavesNothingOpen(suite));
  },
};
