// Asks a role how much memory it needs after a forced collection; see programs/memory-probe.ts.
import { readFile, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { type RoleProcess, until } from '../../../src/demo/processes.js';
import type { Clock } from '../../../src/kernel/clock.js';
import { seconds } from '../../../src/kernel/duration.js';

export interface MemoryUse {
  /** V8's heap, and buffers outside of it, bytes. Not in it: what OpenSSL and LevelDB allocate themselves. */
  readonly heapAndExternal: number;
  readonly resident: number;
}

const PROBE = fileURLToPath(new URL('../programs/memory-probe.js', import.meta.url));

/** The environment of a process that is to be asked; `file` is its own. */
export const probeEnvironment = (file: string): NodeJS.ProcessEnv => ({
  NODE_OPTIONS: `--import=${PROBE}`,
  BENCH_MEMORY: file,
});

export async function probeMemory({ pid, options }: RoleProcess, clock: Clock): Promise<MemoryUse> {
  const file = options.env?.BENCH_MEMORY ?? '';
  if (pid === undefined || file === '') throw new Error(`${options.name} cannot be asked`);
  await rm(file, { force: true });
  process.kill(pid, 'SIGUSR2');
  let text = '';
  await until(
    async () => {
      text = await readFile(file, 'utf8').catch(() => '');
      return text !== '';
    },
    seconds(30),
    clock,
    () => `${options.name} does not say how much memory it needs`,
  );
  const { heapUsed, external, rss } = JSON.parse(text) as NodeJS.MemoryUsage;
  return { heapAndExternal: heapUsed + external, resident: rss };
}
