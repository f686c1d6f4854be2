// One hub's session on the cloud's side: admits it, stores what it sends, acknowledges, hands out credit and desired
// state, asks commands. One HubHost per session; what hubs share is in SessionServices.
import {
  ByeReason,
  type Heartbeat,
  type Hello,
  Lane,
  Outcome,
  Path,
  type Result,
} from '../../../gen/occmesh/link/v1/link.js';
import { type Signed, State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { MeshCertificate } from '../../identity/certificates.js';
import type { VerifyKey } from '../../identity/keys.js';
import { uuidBytes } from '../../identity/uuid.js';
import { keep } from '../../kernel/bytes.js';
import type { Duration } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Admission, CloudHost, CloudSession } from '../../link/cloud-session.js';
import type { UpMessage } from '../../link/envelope.js';
import { LinkFault } from '../../link/fault.js';
import { type Ending, ending } from '../../link/pipe.js';
import { reasonOf } from '../metrics.js';
import type { Author } from '../telemetry/ingest.js';
import type { HubKey, HubLedger } from '../telemetry/ledger.js';
import { HASHING } from '../telemetry/unfolding.js';
import { type Admitted, takeOver, welcome } from './admission.js';
import type { MachineBudget } from './budget.js';
import { PendingCommands } from './commands.js';
import { Configuring } from './configuring.js';
import type { Debtor } from './credit.js';
import { answerDigests } from './digests.js';
import { Intake } from './intake.js';
import { Questions } from './questions.js';
import { takeResealed } from './resealed.js';
import type { SessionServices } from './services.js';
import { SessionNotes } from './session-notes.js';

/** A connector, with what its hubs have in common: kept once, and not by each of them. */
export interface Connector extends HubKey {
  readonly connectorId: string;
}

/** Which carrier brings the session. */
export interface Carrier {
  /** Of the same customer; undefined for a direct session. */
  readonly connector: Connector | undefined;
  /** Certificate that TLS has verified, at the connector or here. */
  readonly peer: MeshCertificate;
}

export class HubHost implements CloudHost, Author, Debtor {
  readonly key;
  readonly certificate;
  readonly machineId: string;
  readonly customer: Buffer;
  readonly machine: Buffer;
  readonly customerId: string;
  /** In the order of all sessions; see SessionRegistry.take(). */
  readonly place: number;
  readonly budget: MachineBudget;
  readonly #commands = new PendingCommands();
  /** Few ever ask, and a cloud has a host for every hub. */
  #questions: Questions | undefined;
  #session: CloudSession | undefined;
  readonly connector: Connector | undefined;
  /** Certificate that TLS has verified; until the inventory has seen it. */
  #peer: MeshCertificate | undefined;
  readonly #intake: Intake;
  #admitted: Admitted | undefined;
  #notes: SessionNotes | undefined;
  readonly #configuring: Configuring;
  #goodbye = false;
  #heardAt: Duration;

  constructor(
    private readonly services: SessionServices,
    { connector, peer }: Carrier,
  ) {
    const { identity } = peer;
    this.connector = connector;
    this.customerId = identity.customerId;
    this.#peer = peer;
    this.place = services.sessions.nextPlace();
    this.key = services.node.key;
    this.certificate = services.node.certificate;
    this.machineId = identity.machineId;
    this.customer = connector?.customer ?? keep(uuidBytes(identity.customerId));
    this.machine = keep(uuidBytes(identity.machineId));
    this.budget = services.budgets.of(identity.machineId);
    this.#intake = new Intake(services, this);
    this.#configuring = new Configuring(services, this);
    this.#heardAt = services.clock.monotonic();
  }

  /** Undefined for a direct session. */
  get connectorId(): string | undefined {
    return this.connector?.connectorId;
  }

  // ── CloudHost ──────────────────────────────────────────────────────────────────────────────────────────────────

  verifyHub(hello: Hello): VerifyKey {
    this.services.reception.check(this.customerId);
    const certificate = this.services.trust.hub(hello.certificate);
    const { machineId, customerId } = certificate.identity;
    const isPeer = machineId === this.machineId && customerId === this.customerId;
    if (!isPeer || !this.machine.equals(hello.machineId)) {
      throw new LinkFault('link.refused', 'Hello speaks for another machine than the certificate of its connection');
    }
    if (this.services.inventory.isRevoked(certificate.key.keyId)) {
      throw new LinkFault('link.refused', 'this machine has been retired; enrol it again with a new token');
    }
    return certificate.key;
  }

  async admit(session: CloudSession, hello: Hello): Promise<Admission> {
    const { services } = this;
    const peer = this.#peer;
    if (!peer) throw new LinkFault('link.protocol', 'admitted already');
    this.#session = session;
    this.#peer = undefined;
    this.budget.spend('sessions');
    const leave = await services.reception.enter(this.customerId);
    try {
      const taken = await takeOver(services, this, peer, session, hello);
      this.#admitted = taken.admitted;
      this.#notes = new SessionNotes(services, this, taken.admitted);
      return { welcome: await welcome(services, this, taken, hello) };
    } finally {
      leave();
    }
  }

  up(session: CloudSession, hello: Hello): void {
    const { services } = this;
    this.#session = session;
    services.metrics.sessionsOpened.add(1, { path: this.connectorId === undefined ? 'direct' : 'connector' });
    services.presence.up(this.machineId, {
      path: this.connectorId === undefined ? Path.DIRECT : Path.CONNECTOR,
      connectorId: this.connectorId ?? '',
      software: hello.software,
      clockMs: hello.clockMs,
    });
    this.log.info({ path: this.connectorId ?? 'direct', software: hello.software }, 'hub is up');
    this.sendDesiredState(hello.configVersion);
  }

  received(session: CloudSession, message: UpMessage, lane: Lane, bytes: number): Promise<void> | undefined {
    // Anybody who has recorded a batch or a gap can send it once more: neither is a sign of life, nor of the hub having
    // seen the Welcome.
    if (message.$case === 'batch') return this.#intake.batch(session, message.value, lane, bytes);
    if (message.$case === 'gap') return this.#intake.gap(session, message.value);
    this.budget.spend('frames');
    this.#heardAt = this.services.clock.monotonic();
    this.#notes?.confirm();
    switch (message.$case) {
      case 'heartbeat':
        return this.#heartbeat(message.value);
      case 'applied':
        return this.#configuring.applied(session, message.value);
      case 'result':
        this.#commands.answer(message.value);
        return undefined;
      case 'digestRequest':
        this.#questions ??= this.#newQuestions();
        this.#questions.ask(message.value);
        return undefined;
      case 'resealed':
        return this.#resealed(message.value);
      case 'bye':
        this.#goodbye = message.value.reason === ByeReason.SHUT_DOWN;
        this.#session?.close(ending(CloseCode.DONE, 'goodbye'));
        return undefined;
      default:
        throw new LinkFault('link.protocol', `${message.$case} is not due here`);
    }
  }

  /** A hub that comes again and again must not fill a disk with it. */
  failed(thrown: unknown): void {
    this.services.metrics.refused.add(1, { reason: reasonOf(thrown) });
    if (thrown instanceof LinkFault && thrown.code === 'link.busy') return;
    this.budget.oddities.note({ cause: describe(thrown) }, 'session ended by the cloud', 'warn');
  }

  ended(_session: CloudSession, why: Ending): void {
    const wasCurrent = this.services.sessions.leave(this);
    this.services.credit.forget(this);
    this.#commands.end();
    this.#questions?.end();
    // Also when it was never up: the session that it took over from has left it the last word.
    if (wasCurrent) this.services.presence.down(this.machineId, this.#goodbye ? 'shut-down' : 'gone');
    if (!this.#admitted) return;
    this.log.info({ code: CloseCode[why.code], reason: why.message, goodbye: this.#goodbye }, 'hub session ended');
    if (wasCurrent) this.#notes?.write({ lastSeenMs: this.services.clock.now(), shutDown: this.#goodbye });
  }

  /** Made when there is something to say: it is larger than all the rest of a session that has nothing to say. */
  get log(): Logger {
    return this.services.log.child({ hub: this.machineId });
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

  /** As its Welcome said, for as long as it lasts. */
  get quarantined(): boolean {
    return this.#admitted?.quarantined ?? false;
  }

  /** Unless the hub has it already: that of the version that is `known`. */
  sendDesiredState(known: number): void {
    if (this.#session) this.#configuring.send(this.#session, known);
  }

  /** Runs a sensor; UNKNOWN when the session ends first. Faults: link.refused in quarantine. */
  async runSensor(sensor: number): Promise<Result> {
    if (this.quarantined) throw new LinkFault('link.refused', 'this hub is in quarantine: no commands');
    const session = this.#session;
    if (session?.state !== 'up') {
      const message = 'not sent: the hub is just connecting; try again';
      return { commandId: 0, outcome: Outcome.FAILED, message, state: State.UNSPECIFIED };
    }
    return this.#commands.run({ $case: 'runSensor', value: { sensor } }, (value) =>
      session.send({ $case: 'command', value }),
    );
  }

  // ── messages ───────────────────────────────────────────────────────────────────────────────────────────────────

  async #resealed(signed: Signed): Promise<void> {
    if (!this.quarantined && (await takeResealed(this.services, this, signed))) this.log.info('sealing key replaced');
  }

  #heartbeat(beat: Heartbeat): undefined {
    const { services } = this;
    services.presence.heartbeat(this.machineId, beat);
    services.credit.wants(this, beat.backlogBytes);
    if (beat.log.length === 16 && beat.next > 0) this.#notes?.announce(beat.log, beat.next);
    this.#session?.send({ $case: 'heartbeatAnswer', value: { number: beat.number, clockMs: services.clock.now() } });
    return undefined;
  }

  #newQuestions(): Questions {
    return new Questions({
      answer: (request, signal) => {
        const { store, ingest } = this.services;
        const pay = (work: number) => this.budget.afford('digests', work / HASHING, signal);
        return ingest.turns.during(this, Lane.BACKFILL, pay, (turn) => {
          const afford = async (cost: number) => {
            await turn(cost * HASHING);
            signal.throwIfAborted();
          };
          return answerDigests({ store, afford }, this, request);
        });
      },
      send: (value) => this.#session?.send({ $case: 'digestAnswer', value }),
      onFailure: (thrown) => this.#session?.fail(thrown),
    });
  }
}
