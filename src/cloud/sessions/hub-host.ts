// One hub's session on the cloud's side: admits it, stores what it sends, acknowledges, hands out credit and desired
// state, asks commands. One HubHost per session; what hubs share is in SessionServices.
import {
  ByeReason,
  type Heartbeat,
  type Hello,
  Lane,
  type LogSummary,
  Outcome,
  Path,
  type Result,
  type Welcome,
} from '../../../gen/occmesh/link/v1/link.js';
import type { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import type { VerifyKey } from '../../identity/keys.js';
import { uuidBytes } from '../../identity/uuid.js';
import type { Duration } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Admission, CloudHost, CloudSession } from '../../link/cloud-session.js';
import type { UpMessage } from '../../link/envelope.js';
import { LinkFault } from '../../link/fault.js';
import { type Ending, ending } from '../../link/pipe.js';
import { RangeSet } from '../../telemetry/ranges.js';
import type { Author, Verdict } from '../telemetry/ingest.js';
import type { HubLedger } from '../telemetry/ledger.js';
import type { Debtor } from './credit.js';
import { answerDigests } from './digests.js';
import type { SessionServices } from './services.js';
import { judgeGeneration, putSessionRecord, readSessionRecord } from './session-record.js';
import { recordMissingTails } from './tails.js';

/** Bytes of LIVE batches a hub may have unacknowledged. */
export const LIVE_WINDOW_BYTES = 256 * 1024;

/** Which carrier brings the session. */
export interface Carrier {
  /** The connector's id; undefined for a direct session. */
  readonly connectorId: string | undefined;
  /** Certificate that TLS has verified, at the connector or here. */
  readonly peer: MeshCertificate;
}

type Admitted = { readonly ledger: HubLedger; record: SessionRecord; readonly quarantined: boolean };

export class HubHost implements CloudHost, Author, Debtor {
  readonly key;
  readonly certificate;
  readonly machineId: string;
  readonly customer: Buffer;
  readonly machine: Buffer;
  readonly carrier: string;
  readonly log: Logger;
  #session: CloudSession | undefined;
  #admitted: Admitted | undefined;
  #liveBytes = 0;
  #confirmed = false;
  #acks = new Map<string, { log: Buffer; ranges: RangeSet; chain: Buffer; end: number }>();
  #ackScheduled = false;
  #commands = new Map<number, (result: Result) => void>();
  #nextCommand = 1;
  #goodbye = false;
  #heardAt: Duration;

  constructor(
    private readonly services: SessionServices,
    private readonly from: Carrier,
  ) {
    const { identity } = from.peer;
    this.key = services.node.key;
    this.certificate = services.node.certificate;
    this.machineId = identity.machineId;
    this.customer = uuidBytes(identity.customerId);
    this.machine = uuidBytes(identity.machineId);
    this.carrier = from.connectorId ?? `direct/${identity.machineId}`;
    this.log = services.log.child({ hub: identity.machineId });
    this.#heardAt = services.clock.monotonic();
  }

  // ── CloudHost ──────────────────────────────────────────────────────────────────────────────────────────────────

  verifyHub(hello: Hello): VerifyKey {
    const certificate = this.services.trust.hub(hello.certificate);
    const { identity } = certificate;
    if (identity.machineId !== this.machineId || !this.machine.equals(hello.machineId)) {
      throw new LinkFault('link.refused', 'Hello speaks for another machine than the certificate of its connection');
    }
    if (this.services.inventory.isRevoked(certificate.key.keyId)) {
      throw new LinkFault('link.refused', 'this machine has been retired; enrol it again with a new token');
    }
    return certificate.key;
  }

  async admit(session: CloudSession, hello: Hello): Promise<Admission> {
    const { services } = this;
    this.#session = session;
    const known = await services.inventory.admit(this.from.peer);
    const [ledger, record] = await Promise.all([services.ledger.of(this), readSessionRecord(services.store, this)]);
    const verdict = judgeGeneration(record, hello.generation);
    const generation = Math.max(record.issuedGeneration, hello.generation) + 1;
    const quarantined = known.quarantined || verdict === 'older';
    const next: SessionRecord = {
      ...record,
      issuedGeneration: generation,
      confirmedGeneration: verdict === 'older' ? record.confirmedGeneration : hello.generation,
      lastSeenMs: services.clock.now(),
      shutDown: false,
    };
    // From here on nothing of an older session is stored: its commits ask isCurrent().
    services.sessions.take(this);
    await services.store.commit(() => {
      if (!this.isCurrent()) throw new LinkFault('link.superseded', 'a newer session of this hub has taken over');
      return [putSessionRecord(this, next)];
    });
    this.#admitted = { ledger, record: next, quarantined };
    if (verdict === 'older') {
      this.log.error(
        { presented: hello.generation, issued: record.issuedGeneration },
        'hub was rolled back or cloned: quarantined',
      );
      await services.inventory.setQuarantined(
        this.machineId,
        `presented generation ${hello.generation} where ${record.issuedGeneration} was issued`,
      );
    }
    if (verdict === 'newer')
      this.log.warn(
        { presented: hello.generation, issued: record.issuedGeneration },
        'hub knows more than this cloud: restored from a backup?',
      );
    await recordMissingTails(services, this, record, hello.logs);
    await services.inventory.raiseConfigVersion(this.machineId, hello.configVersion);
    return { welcome: this.#welcome(hello.logs, generation, quarantined) };
  }

  up(session: CloudSession, hello: Hello): void {
    const { services } = this;
    this.#session = session;
    services.presence.up(this.machineId, {
      path: this.from.connectorId === undefined ? Path.DIRECT : Path.CONNECTOR,
      connectorId: this.from.connectorId ?? '',
      software: hello.software,
      clockMs: hello.clockMs,
    });
    this.log.info({ path: this.from.connectorId ?? 'direct', software: hello.software }, 'hub is up');
    if (!this.#admitted?.quarantined) this.sendDesiredState(hello.configVersion);
  }

  received(_session: CloudSession, message: UpMessage, lane: Lane, bytes: number): Promise<void> | undefined {
    this.#heardAt = this.services.clock.monotonic();
    this.#confirm();
    switch (message.$case) {
      case 'batch':
        return this.#batch(message.value, lane, bytes);
      case 'gap':
        return this.#gap(message.value);
      case 'heartbeat':
        return this.#heartbeat(message.value);
      case 'applied':
        return this.services.inventory.recordApplied(this.machineId, message.value);
      case 'result':
        this.#commands.get(message.value.commandId)?.(message.value);
        this.#commands.delete(message.value.commandId);
        return undefined;
      case 'digestRequest':
        return this.#digests(message.value);
      case 'bye':
        this.#goodbye = message.value.reason === ByeReason.SHUT_DOWN;
        this.#session?.close(ending(CloseCode.DONE, 'goodbye'));
        return undefined;
      default:
        throw new LinkFault('link.protocol', `${message.$case} is not due here`);
    }
  }

  ended(_session: CloudSession, why: Ending): void {
    const wasCurrent = this.services.sessions.leave(this);
    this.services.credit.forget(this);
    for (const answer of this.#commands.values()) {
      answer({ commandId: 0, outcome: Outcome.UNKNOWN, message: 'the session ended first', state: 0 });
    }
    this.#commands.clear();
    if (!this.#admitted) return;
    this.log.info({ code: CloseCode[why.code], reason: why.message, goodbye: this.#goodbye }, 'hub session ended');
    if (!wasCurrent) return;
    this.services.presence.down(this.machineId, this.#goodbye ? 'shut-down' : 'gone');
    this.#remember({ lastSeenMs: this.services.clock.now(), shutDown: this.#goodbye });
  }

  // ── Author and Debtor ──────────────────────────────────────────────────────────────────────────────────────────

  get ledger(): HubLedger {
    if (!this.#admitted) throw new LinkFault('link.protocol', 'not admitted yet');
    return this.#admitted.ledger;
  }

  verifyKey(keyId: Uint8Array): VerifyKey | undefined {
    return this.services.inventory.verifyKeys(this.machineId).find((key) => key.keyId.equals(keyId));
  }

  isCurrent(): boolean {
    return this.services.sessions.isCurrent(this);
  }

  grant(bytes: number): void {
    this.#session?.send({ $case: 'credit', value: { backfillBytes: bytes } });
  }

  // ── for the rest of the cloud ──────────────────────────────────────────────────────────────────────────────────

  close(why: Ending): void {
    this.#session?.close(why);
  }

  /** A hub that has said nothing since then is not there any more, whatever its connection looks like. */
  endIfSilentSince(time: Duration): void {
    if (this.#heardAt < time) this.#session?.fail(new LinkFault('link.silent', 'no sign of life'));
  }

  /** Sends the desired state unless the hub has it already. */
  sendDesiredState(known: number): void {
    const state = this.services.inventory.desiredState(this.machineId);
    if (!state || state.version === known) return;
    this.#session?.sendDesiredState(this.services.signDesiredState(state));
  }

  /** Runs a sensor; UNKNOWN when the session ends first. */
  runSensor(sensor: number): Promise<Result> {
    if (this.#admitted?.quarantined) throw new LinkFault('link.refused', 'this hub is in quarantine: no commands');
    const id = this.#nextCommand++;
    return new Promise((resolve) => {
      this.#commands.set(id, resolve);
      this.#session?.send({ $case: 'command', value: { id, action: { $case: 'runSensor', value: { sensor } } } });
    });
  }

  // ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────

  // Batches are stored side by side: the next one is taken in while this one's commit is under way.
  #batch(signed: Parameters<SessionServices['ingest']['batch']>[1], lane: Lane, bytes: number): undefined {
    if (lane === Lane.LIVE) {
      this.#liveBytes += bytes;
      // A carrier may have held one more window of a session just before; beyond two, the hub does not keep to it.
      if (this.#liveBytes > 2 * LIVE_WINDOW_BYTES)
        throw new LinkFault('link.exhausted', 'more LIVE bytes than the window allows');
    } else if (lane !== Lane.BACKFILL) {
      throw new LinkFault('link.protocol', 'a batch outside LIVE and BACKFILL');
    }
    // The carrier's buffer is reused only after the handler returned: what is kept is copied by the store.
    this.services.ingest
      .batch(this, signed)
      .then((verdict) => this.#judged(verdict))
      .catch((thrown) => this.#failed(thrown))
      .finally(() => {
        if (lane === Lane.LIVE) this.#liveBytes -= bytes;
        else this.services.credit.arrived(this, bytes);
      });
    return undefined;
  }

  #judged({ kind, batch }: Verdict): void {
    if (kind === 'conflict') {
      this.log.error(
        { first: batch.first, count: batch.count },
        'a batch contradicts what is held: two machines write this log',
      );
      this.#session?.send({
        $case: 'conflict',
        value: { log: batch.log, range: { first: batch.first, count: batch.count } },
      });
      return;
    }
    const name = batch.log.toString('hex');
    const end = batch.first + batch.count;
    const ack = this.#acks.get(name) ?? { log: batch.log, ranges: new RangeSet(), chain: batch.chain, end };
    ack.ranges.add({ first: batch.first, count: batch.count });
    if (end >= ack.end) {
      ack.chain = batch.chain;
      ack.end = end;
    }
    this.#acks.set(name, ack);
    if (this.#ackScheduled) return;
    // One signature for all that one group commit has stored.
    this.#ackScheduled = true;
    setImmediate(() => this.#sendAcks());
  }

  #sendAcks(): void {
    this.#ackScheduled = false;
    for (const { log, ranges, chain } of this.#acks.values()) {
      this.#session?.send({ $case: 'ack', value: { log, ranges: ranges.toProto(), chain } });
    }
    this.#acks.clear();
  }

  #failed(thrown: unknown): void {
    if (thrown instanceof LinkFault) {
      this.#session?.fail(thrown);
      return;
    }
    // The store's own listeners end every session when it has lost something; the hub keeps what was not acknowledged.
    this.log.error({ cause: describe(thrown) }, 'a batch could not be stored');
    this.close(ending(CloseCode.INTERNAL, 'the cloud cannot store readings now', 5_000));
  }

  async #gap(signed: Parameters<SessionServices['ingest']['gap']>[1]): Promise<void> {
    const gap = await this.services.ingest.gap(this, signed);
    this.log.warn(
      { first: gap.firstFlush, count: gap.flushCount, readings: gap.readingCount, reason: gap.reason },
      'gap recorded',
    );
    this.#session?.send({
      $case: 'gapAck',
      value: { log: gap.log, range: { first: gap.firstFlush, count: gap.flushCount } },
    });
  }

  #heartbeat(beat: Heartbeat): undefined {
    const { services } = this;
    services.presence.heartbeat(this.machineId, beat);
    services.credit.wants(this, beat.backlogBytes);
    if (beat.log.length === 16 && beat.next > 0) this.#announce(Buffer.from(beat.log), beat.next);
    this.#session?.send({ $case: 'heartbeatAnswer', value: { number: beat.number, clockMs: services.clock.now() } });
    return undefined;
  }

  /** Durable only where the ledger does not say as much already: that is when somebody could miss it. */
  #announce(log: Buffer, next: number): void {
    const state = this.ledger.log(log);
    if (next <= state.announced) return;
    state.announced = next;
    const others = (this.#admitted?.record.announced ?? []).filter((tail) => !log.equals(tail.log));
    this.#remember({ announced: [...others, { log, next }].slice(-256) });
  }

  async #digests(request: Parameters<typeof answerDigests>[2]): Promise<void> {
    const answer = await answerDigests(this.services.store, this, request);
    this.#session?.send({ $case: 'digestAnswer', value: answer });
  }

  /** The first frame after Welcome: the hub has written its generation down. */
  #confirm(): void {
    if (this.#confirmed || !this.#admitted) return;
    this.#confirmed = true;
    this.#remember({ confirmedGeneration: this.#admitted.record.issuedGeneration });
  }

  /** Not awaited: what it records is a help, not a promise. */
  #remember(change: Partial<SessionRecord>): void {
    const admitted = this.#admitted;
    if (!admitted) return;
    admitted.record = { ...admitted.record, ...change };
    const { record } = admitted;
    this.services.store
      .commit(() => (this.services.sessions.mayRemember(this) ? [putSessionRecord(this, record)] : undefined))
      .catch((thrown) => this.log.warn({ cause: describe(thrown) }, 'session record not written'));
  }

  #welcome(logs: readonly LogSummary[], generation: number, quarantined: boolean): Omit<Welcome, 'certificate'> {
    const { services } = this;
    return {
      generation,
      holdings: logs.map(({ log }) => this.ledger.log(log).holding()),
      liveWindow: LIVE_WINDOW_BYTES,
      configVersion: quarantined ? 0 : (services.inventory.desiredState(this.machineId)?.version ?? 0),
      clockMs: services.clock.now(),
      revokedKeys: services.inventory.revokedKeys(this.from.peer.identity.customerId),
      heartbeatMs: services.heartbeatMs,
      quarantined,
      software: services.software,
    };
  }
}
