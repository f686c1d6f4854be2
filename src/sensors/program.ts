// Running a program of the machine for a sensor: without a shell, with a clean environment, with bounded output, and in
// a process group of its own, of which nothing is left when the run ends.
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { Clock, Timer } from '../kernel/clock.js';
import { milliseconds } from '../kernel/duration.js';

export interface Program {
  /** Absolute path. */
  readonly file: string;
  readonly args: readonly string[];
  /** Whom to become; only root can. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** Besides the clean environment that every program gets. Never with NUL: the error would quote it. */
  readonly environment?: Readonly<Record<string, string>>;
  /** For its standard input, which is empty otherwise. */
  readonly input?: Buffer;
}

export interface ProgramResult {
  /** Undefined when a signal ended it. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** It wrote more than is read and was ended for it. */
  readonly overrun: boolean;
}

const MAX_OUTPUT = 65_536;
/** Between the polite and the final signal. */
const GRACE = milliseconds(500);
/** How long output may take to arrive after the end; a descendant that left the group may hold the pipe for ever. */
const LAST_OUTPUT = milliseconds(200);
const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C', LANG: 'C', HOME: '/' };

/** To the whole group on POSIX. A group that is gone, or that belongs to somebody else by setuid, is left alone. */
function kill(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === 'win32') child.kill(signal);
    else process.kill(-child.pid, signal);
  } catch {
    // ESRCH or EPERM: nothing to end.
  }
}

/** Collects up to the limit, then calls `onOverrun` once and discards. */
function collect(stream: Readable | null, onOverrun: () => void): () => string {
  const chunks: Buffer[] = [];
  let size = 0;
  stream?.on('data', (chunk: Buffer) => {
    if (size <= MAX_OUTPUT) chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_OUTPUT) onOverrun();
  });
  // A pipe that breaks says nothing that the exit does not say.
  stream?.on('error', () => undefined);
  return () => Buffer.concat(chunks).toString('utf8', 0, Math.min(size, MAX_OUTPUT));
}

/**
 * Runs it to its end. Rejects when it cannot be started, and with the signal's reason when that aborts; either way only
 * after the program has ended.
 */
export function runProgram(program: Program, clock: Clock, signal: AbortSignal): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const options: SpawnOptions = {
      cwd: process.platform === 'win32' ? undefined : '/',
      env: process.platform === 'win32' ? undefined : { ...ENVIRONMENT, ...program.environment },
      stdio: [program.input ? 'pipe' : 'ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
      windowsHide: true,
      shell: false,
      ...program.user,
    };
    const child = spawn(program.file, program.args, options);
    // It may end without reading.
    child.stdin?.on('error', () => undefined).end(program.input);
    let overrun = false;
    const onOverrun = () => {
      overrun = true;
      kill(child, 'SIGKILL');
    };
    const stdout = collect(child.stdout, onOverrun);
    const stderr = collect(child.stderr, onOverrun);

    let timer: Timer | undefined;
    const abort = () => {
      kill(child, 'SIGTERM');
      timer = clock.after(GRACE, () => kill(child, 'SIGKILL'));
    };
    signal.addEventListener('abort', abort, { once: true });
    const finish = () => {
      timer?.disarm();
      signal.removeEventListener('abort', abort);
    };
    child.once('error', (error) => {
      finish();
      reject(error);
    });
    child.once('exit', () => {
      finish();
      child.stdin?.destroy();
      // What it left in the background goes with it.
      kill(child, 'SIGKILL');
      timer = clock.after(LAST_OUTPUT, () => {
        child.stdout?.destroy();
        child.stderr?.destroy();
      });
    });
    child.once('close', (code) => {
      finish();
      if (signal.aborted) reject(signal.reason);
      else resolve({ code: code ?? undefined, stdout: stdout(), stderr: stderr(), overrun });
    });
  });
}
