// `make bench`: measures real processes, tells what it is doing on standard error, and prints what came out.
//
//   node dist/test/bench/main.js [--smoke] [--runs n] [--json] [--profile folder] [part …]
//
// Everything stays in `.bench` of the current directory while it runs. Ctrl-C ends it and leaves nothing behind.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ownFolder } from '../../src/demo/own-folder.js';
import { systemClock as clock } from '../../src/kernel/clock.js';
import { toError } from '../../src/kernel/fault.js';
import { systemRandom as random } from '../../src/kernel/random.js';
import { Scope } from '../../src/kernel/scope.js';
import type { Part } from './part.js';
import { PARTS } from './parts.js';
import { childrenOf } from './processes.js';
import { type Result, resultOf, tableOf } from './report.js';

const RUNS = 3;
const LOG_TAIL = 2_000;

interface Settings {
  readonly parts: readonly Part[];
  readonly runs: number;
  readonly smoke: boolean;
  readonly json: boolean;
  readonly profiles: string | undefined;
}

const quit = new AbortController();
// Ctrl-C reaches the processes of the parts, too: that they end then is no failure. The second signal does not wait.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (quit.signal.aborted) process.exit(130);
    quit.abort(new Error('interrupted'));
  });
}
process.on('exit', () => {
  for (const pid of childrenOf(process.pid)) process.kill(pid, 'SIGKILL');
});

function settings(): Settings {
  const { values, positionals } = parseArgs({
    options: {
      smoke: { type: 'boolean' },
      json: { type: 'boolean' },
      runs: { type: 'string' },
      profile: { type: 'string' },
    },
    allowPositionals: true,
  });
  const { smoke = false, json = false } = values;
  const parts = positionals.map((name) => {
    const part = PARTS.find((one) => one.name === name);
    if (!part) throw new Error(`no part "${name}"; there are ${PARTS.map((one) => one.name).join(', ')}`);
    return part;
  });
  const runs = Number(values.runs ?? (smoke ? 1 : RUNS));
  if (!Number.isInteger(runs) || runs < 1) throw new Error('--runs must be a number of at least 1');
  const profiles = values.profile === undefined ? undefined : resolve(values.profile);
  return { parts: parts.length > 0 ? parts : PARTS, runs, smoke, json, profiles };
}

const say = (text: string) =>
  void process.stderr.write(`${new Date(clock.now()).toISOString().slice(11, 19)}  ${text}\n`);

async function runPart(part: Part, directory: string, { runs, smoke, profiles }: Settings): Promise<Result[]> {
  await mkdir(directory, { recursive: true });
  const scope = new Scope();
  const progress = (step: string) => say(`${part.name}: ${step}`);
  const began = clock.monotonic();
  try {
    const measured = await part.run({
      ...{ runs, smoke, profiles, directory, progress },
      ...{ clock, random, scope, signal: quit.signal },
    });
    const results = measured.map((figure) => resultOf(part.name, figure));
    if (results.length === 0) throw new Error(`${part.name} has no figures`);
    progress(`done in ${Math.round((clock.monotonic() - began) / 1_000)} s`);
    return results;
  } catch (thrown) {
    if (!quit.signal.aborted) await showLogs(directory);
    throw thrown;
  } finally {
    await scope.stop();
    await rm(directory, { recursive: true, force: true });
    const left = childrenOf(process.pid);
    if (left.length > 0) say(`${part.name} has left processes behind: ${left.join(', ')}`);
  }
}

async function showLogs(directory: string): Promise<void> {
  for (const name of await readdir(directory, { recursive: true })) {
    // LevelDB's own journals end like this, too.
    if (!name.endsWith('.log') || /(^|\/)\d+\.log$/.test(name)) continue;
    const text = await readFile(join(directory, name), 'utf8');
    if (text !== '') process.stderr.write(`── ${name}\n${text.slice(-LOG_TAIL)}\n`);
  }
}

async function main(): Promise<number> {
  const chosen = settings();
  const folder = await ownFolder(join(process.cwd(), '.bench'));
  const results: Result[] = [];
  const failed: string[] = [];
  try {
    for (const part of chosen.parts) {
      say(`${part.name}: ${part.about}`);
      try {
        results.push(...(await runPart(part, join(folder, part.name), chosen)));
      } catch (thrown) {
        quit.signal.throwIfAborted();
        failed.push(part.name);
        say(`${part.name} FAILED: ${toError(thrown).stack}`);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const list = `[\n${results.map((result) => `  ${JSON.stringify(result)}`).join(',\n')}\n]\n`;
  if (!chosen.smoke) await writeFile('bench.json', list);
  const [cpu] = cpus();
  if (chosen.json) process.stdout.write(list);
  else process.stdout.write(`\n${cpus().length} × ${cpu?.model}, Node ${process.version}\n\n${tableOf(results)}`);
  return failed.length > 0 ? 1 : 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (thrown) => {
    say(quit.signal.aborted ? 'interrupted; nothing is left running' : toError(thrown).message);
    process.exitCode = quit.signal.aborted ? 130 : 2;
  },
);
