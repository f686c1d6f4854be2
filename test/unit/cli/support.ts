// A terminal that tests hold in their hands, and `occ` run on it.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CliFault } from '../../../src/cli/fault.js';
import { run } from '../../../src/cli/program.js';
import type { Output, Terminal } from '../../../src/cli/terminal.js';
import { Scope } from '../../../src/kernel/scope.js';
import { FakeClock } from '../../support/fake-clock.js';
import { seededRandom } from '../../support/seeded-random.js';
import { API_TOKEN, FakeCloud, NOW } from './fake-cloud.js';

export class Screen implements Output {
  text = '';
  #waiting: { readonly part: string; readonly resolve: () => void } | undefined;

  constructor(
    readonly isTerminal = false,
    readonly columns: number | undefined = undefined,
    readonly rows: number | undefined = undefined,
  ) {}

  write(text: string): void {
    this.text += text;
    if (this.#waiting && this.text.includes(this.#waiting.part)) this.#waiting.resolve();
  }

  async drained(): Promise<void> {}

  /** Resolves once this has been written. */
  shows(part: string): Promise<void> {
    if (this.text.includes(part)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting = { part, resolve };
    });
  }
}

export interface TestTerminal extends Terminal {
  readonly stdout: Screen;
  readonly stderr: Screen;
  /** As Ctrl-C does. */
  interrupt(): void;
}

export function testTerminal(
  options: Partial<Terminal> & { readonly stdout?: Screen; readonly stdin?: string } = {},
): TestTerminal {
  const abort = new AbortController();
  const { stdin = '', ...more } = options;
  return {
    env: {},
    cwd: '/nowhere',
    home: '/home/op',
    hostname: 'host',
    platform: 'linux',
    readStdin: async () => stdin,
    ask: async () => undefined,
    readSecret: async () => Buffer.from(stdin),
    clock: new FakeClock(NOW),
    random: seededRandom(1),
    ...more,
    stdout: options.stdout ?? new Screen(),
    stderr: new Screen(),
    interrupted: abort.signal,
    interrupt: () => abort.abort(new CliFault('cli.interrupted', 'ended by SIGINT')),
  };
}

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** `occ args…` on a terminal. */
export async function occ(args: readonly string[], terminal: TestTerminal = testTerminal()): Promise<Outcome> {
  const code = await run(args, terminal);
  return { code, out: terminal.stdout.text, err: terminal.stderr.text };
}

/** A fake cloud, a folder with its client.yaml, and `occ` that is told of it. */
export class Office implements AsyncDisposable {
  private constructor(
    private readonly scope: Scope,
    readonly folder: string,
    readonly cloud: FakeCloud,
  ) {}

  static async open(): Promise<Office> {
    const scope = new Scope();
    const folder = await temporaryFolder(scope);
    const cloud = await FakeCloud.start(scope);
    await writeFile(join(folder, 'ca.crt'), cloud.ca);
    await writeFile(join(folder, 'api.token'), `${API_TOKEN}\n`, { mode: 0o600 });
    await writeFile(join(folder, 'client.yaml'), `cloud: ${cloud.address}\nca: ca.crt\ntokenFile: api.token\n`);
    return new Office(scope, folder, cloud);
  }

  terminal(options: Parameters<typeof testTerminal>[0] = {}): TestTerminal {
    return testTerminal({ env: { OCC_CLIENT: join(this.folder, 'client.yaml') }, cwd: this.folder, ...options });
  }

  occ(...args: readonly string[]): Promise<Outcome> {
    return occ(args, this.terminal());
  }

  /** The JSON that a command prints. */
  async json(...args: readonly string[]): Promise<unknown> {
    const { code, out, err } = await this.occ(...args, '--json');
    if (code !== 0) throw new Error(`exit code ${code}: ${err}`);
    return JSON.parse(out);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scope.stop();
  }
}

export async function temporaryFolder(scope: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'occ-cli-'));
  scope.defer(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
