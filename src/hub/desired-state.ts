// The signed desired state: verified, applied, kept on disk, rolled back to the last good one when it cannot be applied.
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { type Applied, DesiredState, SignedByCloud } from '../../gen/occmesh/link/v1/link.js';
import type { VerifyKey } from '../identity/keys.js';
import { verifySigned } from '../identity/signed.js';
import { TAGS } from '../identity/tags.js';
import { writeFileDurably } from '../kernel/durable-file.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { Serial } from '../kernel/serial.js';
import { LinkFault } from '../link/fault.js';

/** Puts a state into effect. Sensors and secrets that fail alone are reported, not thrown; a throw means: the whole state is bad. */
export type Apply = (state: DesiredState) => Promise<Pick<Applied, 'failures' | 'secretFailures'>>;

export interface DesiredStateModules {
  readonly machineId: Buffer;
  readonly directory: string;
  readonly log: Logger;
  /**
   * The key of a cloud node's certificate, verified up to the mesh CA. Throws when it is not one. `allowExpired`: what
   * has been accepted once stays good for as long as nothing newer comes.
   */
  readonly verifyCloud: (certificate: Uint8Array, options: { readonly allowExpired: boolean }) => VerifyKey;
  readonly apply: Apply;
}

const NONE = { failures: [], secretFailures: [] };

export class DesiredStateKeeper {
  readonly #serial = new Serial();
  #running: DesiredState | undefined;
  /** Highest version ever seen, also when it could not be applied. */
  #seen = 0;
  /** What the cloud said in a session that there is. */
  #floor = 0;

  constructor(private readonly modules: DesiredStateModules) {}

  /** What is in effect. */
  get running(): DesiredState | undefined {
    return this.#running;
  }

  /** The cloud says that this is the one to have: a carrier must not bring an older one, though it was genuine once. */
  expect(version: number): void {
    this.#floor = Math.max(this.#floor, version);
  }

  /** Highest version ever accepted from the cloud. */
  get version(): number {
    return this.#seen;
  }

  /** Puts the state on disk into effect, if there is a good one. A damaged or forged file is set aside. */
  async load(): Promise<void> {
    const { log, apply } = this.modules;
    const bytes = await readFile(this.#path).catch(() => undefined);
    if (!bytes) return;
    try {
      const state = this.#verify(SignedByCloud.decode(bytes), true);
      await apply(state);
      this.#running = state;
      this.#seen = state.version;
    } catch (thrown) {
      log.error(
        { cause: describe(thrown) },
        'the desired state on disk is not usable; set aside, waiting for the cloud',
      );
      await rename(this.#path, `${this.#path}.damaged`);
    }
  }

  /** Takes a state from the cloud: the report to be sent back. Throws LinkFault when it is not genuine. */
  receive(signed: SignedByCloud): Promise<Applied> {
    return this.#serial.run(() => this.#receive(signed));
  }

  async #receive(signed: SignedByCloud): Promise<Applied> {
    const { log, apply } = this.modules;
    const state = this.#verify(signed, false);
    const report = (error: string, failed: Awaited<ReturnType<Apply>> = NONE): Applied => ({
      version: state.version,
      runningVersion: this.#running?.version ?? 0,
      error,
      ...failed,
    });
    // An older one that a carrier held back, or the same again.
    const newest = Math.max(this.#seen, this.#floor);
    if (state.version < newest) return report(`version ${newest} is newer`);
    this.#seen = state.version;
    try {
      const failed = await apply(state);
      await writeFileDurably(this.#path, SignedByCloud.encode(signed).finish(), 0o600);
      this.#running = state;
      log.info(
        { version: state.version, sensors: state.sensors.length, failed: failed.failures.length },
        'desired state applied',
      );
      return report('', failed);
    } catch (thrown) {
      log.error(
        { version: state.version, cause: describe(thrown) },
        'desired state not applied; the last good one stays',
      );
      await this.#goBack();
      return report(describe(thrown));
    }
  }

  async #goBack(): Promise<void> {
    const { log, apply } = this.modules;
    if (!this.#running) return;
    try {
      await apply(this.#running);
    } catch (thrown) {
      log.error(
        { version: this.#running.version, cause: describe(thrown) },
        'nor can the last good one be applied again',
      );
    }
  }

  #verify(signed: SignedByCloud, allowExpired: boolean): DesiredState {
    const cloud = this.modules.verifyCloud(signed.certificate, { allowExpired });
    if (!signed.signed || !verifySigned(cloud, TAGS.DESIRED_STATE, signed.signed)) {
      throw new LinkFault('link.unauthentic', 'a desired state that no cloud node of this mesh has signed');
    }
    const state = DesiredState.decode(signed.signed.content);
    if (!this.modules.machineId.equals(state.machineId)) {
      throw new LinkFault('link.unauthentic', "another machine's desired state");
    }
    return state;
  }

  get #path(): string {
    return join(this.modules.directory, 'desired-state');
  }
}
