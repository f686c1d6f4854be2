// The hub behind its sessions: what it says of itself, what it does with what the cloud says. One for all sessions;
// what lives only as long as one session is in Delivery.
import {
  type Ack,
  ByeReason,
  type Command,
  type Conflict,
  type Heartbeat,
  Outcome,
  type Path,
  type Result,
  type Welcome,
} from '../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import type { SigningKey, VerifyKey } from '../identity/keys.js';
import { type Clock, sleep, WRONG_CLOCK } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import type { DownMessage } from '../link/envelope.js';
import type { HubMember, HubSession, SelfDescription } from '../link/hub-session.js';
import { ending } from '../link/pipe.js';
import { RangeSet } from '../telemetry/ranges.js';
import type { Reading } from '../telemetry/reading.js';
import type { Wal } from '../wal/wal.js';
import { BATCH_READINGS } from './batches.js';
import { Comparisons } from './comparisons.js';
import { Delivery } from './delivery.js';
import type { DesiredStateKeeper } from './desired-state.js';
import { readGeneration, writeGeneration } from './generation-file.js';
import type { Reconciler } from './reconcile.js';
import type { Vault } from './vault.js';

export interface MemberModules {
  readonly directory: string;
  readonly machineId: Buffer;
  readonly key: SigningKey;
  readonly certificate: () => Buffer;
  readonly bootId: Buffer;
  readonly software: string;
  /** See delivery.ts. */
  readonly batchReadings?: number;
  readonly wal: Wal;
  readonly reconciler: Reconciler;
  readonly desired: DesiredStateKeeper;
  readonly vault: Pick<Vault, 'statements' | 'answer' | 'settle'>;
  readonly verifyCloud: (certificate: Uint8Array) => VerifyKey;
  readonly runSensor: (sensor: number) => Promise<Reading>;
  /** Readings that never became durable. */
  readonly droppedBeforeLog: () => number;
  /** See delivery.ts. */
  readonly onStall?: () => void;
  readonly onRevoked: (keyIds: readonly Uint8Array[]) => void;
  readonly onReturnToConnector: () => void;
  readonly onDesiredState: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

const BYE_LIMIT = seconds(1);

/** A member on one path: sessions differ only in how they say they travel. */
export class Member implements HubMember {
  readonly key: SigningKey;
  #delivery: Delivery | undefined;
  #session: HubSession | undefined;
  #parted: Buffer[] = [];
  readonly #comparisons: Comparisons;
  #onAck: () => void = () => undefined;

  private constructor(
    private readonly modules: MemberModules,
    private readonly path: Path,
    private readonly shared: { generation: number; previousEnd: string },
  ) {
    this.key = modules.key;
    this.#comparisons = new Comparisons({
      reconciler: modules.reconciler,
      isInFlight: (log) => this.#delivery?.isInFlight(log) ?? false,
      ask: (value) => this.#session?.send({ $case: 'digestRequest', value }),
      suspend: (log) => this.#delivery?.suspend(log),
      resume: (log) => this.#delivery?.resume(log),
    });
  }

  /** Reads the generation once; the returned function makes the member of each session. */
  static async factory(modules: MemberModules): Promise<(path: Path) => Member> {
    const shared = { generation: await readGeneration(modules.directory), previousEnd: '' };
    return (path) => new Member(modules, path, shared);
  }

  hello(): SelfDescription {
    const { modules, shared } = this;
    return {
      machineId: modules.machineId,
      certificate: modules.certificate(),
      bootId: modules.bootId,
      generation: shared.generation,
      logs: modules.wal.logs(),
      configVersion: modules.desired.version,
      capabilities: [],
      clockMs: modules.clock.now(),
      path: this.path,
      software: modules.software,
      previousEnd: shared.previousEnd,
      sealingKeys: modules.vault.statements(),
    };
  }

  verifyCloud(certificate: Uint8Array): VerifyKey {
    return this.modules.verifyCloud(certificate);
  }

  async welcomed(welcome: Welcome): Promise<void> {
    await writeGeneration(this.modules.directory, welcome.generation);
    this.shared.generation = welcome.generation;
    this.#parted = await this.modules.reconciler.welcomed(welcome.holdings, welcome.quarantined);
  }

  up(session: HubSession, welcome: Welcome): void {
    const { wal, key, log, onStall, batchReadings = BATCH_READINGS } = this.modules;
    this.#session = session;
    this.#compareClocks(welcome.clockMs);
    this.modules.onRevoked(welcome.revokedKeys);
    this.modules.desired.expect(welcome.configVersion);
    const onFailure = (error: Error) => {
      log.error({ cause: describe(error) }, 'readings cannot be read back from the log');
      session.close(ending(CloseCode.INTERNAL, 'the hub cannot read its log'));
    };
    const { liveWindow } = welcome;
    const options = { liveWindow, batchReadings, parted: this.#parted };
    const delivery = new Delivery(options, { session, wal, key, onFailure, ...defined({ onStall }) });
    this.#delivery = delivery;
    for (const parted of this.#parted) void this.#comparisons.begin(parted).catch(onFailure);
    void this.#rotate().catch((thrown) =>
      log.error({ cause: describe(thrown) }, 'the sealing key is not replaced yet'),
    );
    void session.ended.then((why) => {
      delivery.end();
      this.shared.previousEnd = `${CloseCode[why.code]}: ${why.message}`.slice(0, 256);
    });
  }

  /** Whoever looks at the machine is to find it; the cloud has said it long ago. */
  #compareClocks(cloudMs: number): void {
    const { clock, log } = this.modules;
    const aheadMs = clock.now() - cloudMs;
    if (Math.abs(aheadMs) < WRONG_CLOCK) return;
    const aheadSeconds = Math.round(aheadMs / 1_000);
    log.warn({ aheadSeconds }, 'the clock of this machine is wrong, and so are the times of its readings: set it');
  }

  received(message: DownMessage): Promise<void> | undefined {
    switch (message.$case) {
      case 'ack':
        return this.#acked(message.value);
      case 'credit':
        this.#delivery?.credit(message.value.backfillBytes);
        return undefined;
      case 'gapAck':
        return message.value.range && this.modules.wal.gapAcked(Buffer.from(message.value.log), message.value.range);
      case 'desiredState':
        return this.#desired(message.value);
      case 'command':
        // Not awaited: a slow sensor does not hold acknowledgements up.
        void this.#run(message.value).then((value) => this.#session?.send({ $case: 'result', value }));
        return undefined;
      case 'conflict':
        return this.#refused(message.value);
      case 'digestAnswer':
        return this.#comparisons.answered(message.value);
      case 'advice':
        void this.#follow(message.value.reconnectWithinMs, message.value.returnToConnector);
        return undefined;
      default:
        return undefined;
    }
  }

  heartbeat(): Omit<Heartbeat, 'number'> {
    const { wal, clock } = this.modules;
    const oldest = wal.oldestUnackedAt;
    return {
      log: wal.openLog?.log ?? new Uint8Array(0),
      next: wal.openLog?.next ?? 0,
      queuedReadings: wal.queuedReadings,
      queuedAgeMs: oldest === undefined ? 0 : Math.max(0, clock.now() - oldest),
      droppedReadings: wal.droppedReadings + this.modules.droppedBeforeLog(),
      clockMs: clock.now(),
      backlogBytes: this.#delivery?.backlogBytes ?? 0,
    };
  }

  /**
   * Ends the session on purpose: waits up to `patience` for what is on its way to be acknowledged, then says goodbye, so
   * that silence is not taken for loss.
   */
  async farewell(reason: ByeReason, patience: Duration): Promise<void> {
    const session = this.#session;
    if (session?.state !== 'up') return;
    const over = new AbortController();
    void session.ended.then(() => over.abort());
    const delivered = new Promise<void>((resolve) => {
      this.#onAck = () => {
        if (this.modules.wal.queuedReadings === 0) resolve();
      };
      this.#onAck();
    });
    await Promise.race([
      delivered,
      session.ended,
      sleep(this.modules.clock, patience, over.signal).catch(() => undefined),
    ]);
    session.send({ $case: 'bye', value: { reason } });
    // The cloud closes; a carrier that does not let it through is not waited for.
    await Promise.race([session.ended, sleep(this.modules.clock, BYE_LIMIT, over.signal).catch(() => undefined)]);
    session.close(ending(CloseCode.DONE, 'goodbye'));
    over.abort();
  }

  async #acked(ack: Ack): Promise<void> {
    const log = Buffer.from(ack.log);
    const isOurs = await this.modules.reconciler.acked(ack);
    // Only now: what is neither on its way nor acknowledged would be taken for backlog and sent again.
    this.#delivery?.acked(log, RangeSet.from(ack.ranges));
    if (isOurs) await this.#comparisons.settled(log);
    else await this.#comparisons.begin(log);
    this.#onAck();
  }

  /** Two machines write this log. */
  async #refused({ log: id, range }: Conflict): Promise<void> {
    const log = Buffer.from(id);
    if (range) this.#delivery?.refused(log, range);
    await this.#comparisons.begin(log);
  }

  async #desired(signed: Parameters<DesiredStateKeeper['receive']>[0]): Promise<void> {
    const { desired } = this.modules;
    const applied = await desired.receive(signed);
    this.#session?.send({ $case: 'applied', value: applied });
    this.modules.onDesiredState();
    await this.#rotate();
  }

  /** A step of replacing the sealing key: with each state, and again on each session, since an answer may be lost. */
  async #rotate(): Promise<void> {
    const { desired, vault } = this.modules;
    await vault.settle(desired.running);
    const value = await vault.answer(desired.running);
    if (value) this.#session?.send({ $case: 'resealed', value });
  }

  async #run(command: Command): Promise<Result> {
    const failed = (message: string): Result => ({ commandId: command.id, outcome: Outcome.FAILED, message, state: 0 });
    if (command.action?.$case !== 'runSensor') return failed('this hub does not know that command');
    try {
      const reading = await this.modules.runSensor(command.action.value.sensor);
      return { commandId: command.id, outcome: Outcome.DONE, message: reading.message, state: reading.state };
    } catch (thrown) {
      return failed(describe(thrown));
    }
  }

  async #follow(withinMs: number, returnToConnector: boolean): Promise<void> {
    const session = this.#session;
    if (!session) return;
    if (returnToConnector) this.modules.onReturnToConnector();
    const quit = new AbortController();
    void session.ended.then(() => quit.abort());
    await sleep(this.modules.clock, milliseconds(this.modules.random.uniform() * withinMs), quit.signal).catch(
      () => undefined,
    );
    session.send({ $case: 'bye', value: { reason: ByeReason.PATH_CHANGE } });
    session.close(ending(CloseCode.DONE, 'advised to connect again'));
  }
}
