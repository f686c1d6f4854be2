// A disk that is full for one process: its files may not grow any more. Linux; RLIMIT_FSIZE is changed from outside, so
// that the process lives through both ends of it. Its log and journal go through pipes, which no limit holds up.
import { execFileSync } from 'node:child_process';
import type { ProcessOptions, RoleProcess } from '../../src/demo/processes.js';

/** Options for a process whose files alone are limited; `journal` gets what it writes to standard output. */
export function throughPipes(logFile: string, journal = logFile): Pick<ProcessOptions, 'wrap' | 'env'> {
  const script = 'exec "$@" > >(exec cat >>"$JOURNAL_FILE") 2> >(exec cat >>"$LOG_FILE")';
  return { wrap: ['bash', '-c', script, 'bash'], env: { JOURNAL_FILE: journal, LOG_FILE: logFile } };
}

/** Names a pipe that throughPipes() empties into the journal. */
export const JOURNAL_PIPE = '/dev/stdout';

/** From now on no file of the process may be written beyond this. */
export function fill({ pid }: RoleProcess, bytes = 4_096): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:`]);
}

export function free({ pid }: RoleProcess): void {
  execFileSync('prlimit', ['--pid', String(pid), '--fsize=unlimited:']);
}
