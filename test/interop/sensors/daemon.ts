// A server of Debian's, started by a test on loopback in a folder of its own, as nobody in particular, and ended with it.
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NOBODY } from '../../unit/sensors/kinds/plugins.js';

const isRoot = process.geteuid?.() === 0;
/** Servers start within seconds, also on a busy machine. */
const PATIENCE_MS = 20_000;
const POLL_MS = 20;

export interface DaemonPlan {
  /** Absolute path, and arguments; `at` gives paths within the daemon's folder. */
  readonly command: (at: (name: string) => string) => readonly string[];
  /** Files to write into the folder first. */
  readonly files?: Readonly<Record<string, string>>;
  /** Commands to run to their end before, as the same user. */
  readonly prepare?: (at: (name: string) => string) => readonly (readonly string[])[];
  /** Whether it is ready to serve; default: its TCP port accepts connections. */
  readonly ready: number | ((folder: string) => Promise<boolean>);
  /** Some have to stay root. */
  readonly asRoot?: boolean;
}

export class Daemon implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  #output = '';

  private constructor(
    readonly folder: string,
    command: readonly string[],
    options: object,
  ) {
    this.#child = start(command, folder, options);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output = (this.#output + chunk.toString()).slice(-65_536);
      });
    }
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve).once('error', resolve));
  }

  /** The end of what it has said. */
  get output(): string {
    return this.#output;
  }

  static async start(plan: DaemonPlan): Promise<Daemon> {
    const folder = await mkdtemp(join(tmpdir(), 'daemon-'));
    const at = (name: string) => join(folder, name);
    const user = isRoot && !plan.asRoot ? { uid: NOBODY, gid: NOBODY } : {};
    await chmod(folder, 0o755);
    if (user.uid !== undefined) await chown(folder, NOBODY, NOBODY);
    for (const [name, text] of Object.entries(plan.files ?? {})) {
      await writeFile(at(name), text, { mode: 0o600 });
      if (user.uid !== undefined) await chown(at(name), NOBODY, NOBODY);
    }
    for (const command of plan.prepare?.(at) ?? []) await toItsEnd(command, folder, user);
    const daemon = new Daemon(folder, plan.command(at), user);
    try {
      await daemon.#ready(plan.ready);
      return daemon;
    } catch (thrown) {
      await daemon[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  async #ready(ready: DaemonPlan['ready']): Promise<void> {
    const look = typeof ready === 'number' ? () => accepts(ready) : () => ready(this.folder);
    const deadline = performance.now() + PATIENCE_MS;
    while (!(await look())) {
      const gone = this.#child.exitCode !== null || this.#child.pid === undefined;
      if (gone || performance.now() > deadline)
        throw new Error(
          `${this.#child.spawnfile} does not start (${this.#child.exitCode ?? this.#child.signalCode}): ${this.#output}`,
        );
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Ends it for good, in the middle of whatever it does. */
  async kill(): Promise<void> {
    if (this.#child.pid !== undefined && this.#child.exitCode === null) process.kill(-this.#child.pid, 'SIGKILL');
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill().catch(() => undefined);
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** In a group of its own, with nothing of the test's environment. */
function start([file = '', ...args]: readonly string[], folder: string, options: object): ChildProcess {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C', HOME: folder };
  return spawn(file, args, { cwd: folder, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'], ...options });
}

async function toItsEnd(command: readonly string[], folder: string, options: object): Promise<void> {
  const child = start(command, folder, options);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk));
  const code = await new Promise((resolve) => child.once('close', resolve).once('error', resolve));
  if (code !== 0) throw new Error(`${command[0]}: ${code} ${output.slice(-2_000)}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
