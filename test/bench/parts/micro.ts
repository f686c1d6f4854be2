// What single operations take, so that what has become slower can be found. In a process of its own, a fresh one for each
// run: what the compiler makes of code depends on what ran before.
import { join } from 'node:path';
import { figuresOf, type Part, type Sample } from '../part.js';
import { Program } from '../program.js';
import type { MicroAbilities } from '../programs/micro.js';

const FULL_MS = 100;
const SMOKE_MS = 5;

export const micro: Part = {
  name: 'micro',
  about: 'single operations, one after another in one process',
  run: async ({ directory, profiles, smoke, runs, clock, scope, signal, progress }) => {
    const milliseconds = smoke ? SMOKE_MS : FULL_MS;
    const execArgv = profiles === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profiles}/micro`];
    const samples: Sample[] = [];
    for (let run = 1; run <= runs; run++) {
      signal.throwIfAborted();
      progress(`run ${run} of ${runs}`);
      const logFile = join(directory, `micro-${run}.log`);
      const program = scope.own(new Program<MicroAbilities>({ name: 'micro', logFile, execArgv }, clock));
      samples.push(...(await program.ask('measure', { directory: join(directory, `log-${run}`), milliseconds })));
      await program.stop();
    }
    return figuresOf(samples);
  },
};
