// The `occ` program as an operator runs it: to its end.
import { PROGRAM } from '../../src/demo/processes.js';
import { type Outcome, run } from './programs.js';

export const occ = (...args: readonly string[]): Promise<Outcome> => run(process.execPath, [PROGRAM, ...args]);
