// The hub's end of one session: handshake, proofs of authorship, heartbeats. What is delivered, and what is done with what
// comes in, is the HubMember's business; which path is taken is decided in src/hub.
import { type Heartbeat, type Hello, Lane, type Welcome } from '../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import type { SigningKey, VerifyKey } from '../identity/keys.js';
import { type Clock, every, type Timer } from '../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { type Edges, StateMachine } from '../kernel/machine.js';
import {
  bareEnvelope,
  type DownMessage,
  decodeDown,
  decodeEnvelope,
  encodeUp,
  frameEnvelope,
  MAX_ENVELOPE_BYTES,
  signedEnvelope,
  type UpMessage,
} from './envelope.js';
import { endingOf, LinkFault } from './fault.js';
import { FrameOpener, FrameSealer, SessionKeyPair } from './frames.js';
import { helloInput, sessionId, welcomeInput } from './handshake.js';
import { Implied } from './implied.js';
import { Inbox } from './inbox.js';
import { agreeOnVersion, olderServer, SPEAKS } from './negotiation.js';
import { type Ending, ending, type Pipe } from './pipe.js';

export type HubSessionState = 'awaiting-challenge' | 'awaiting-welcome' | 'welcoming' | 'up' | 'ended';

export const HUB_SESSION_EDGES: Edges<HubSessionState> = {
  'awaiting-challenge': ['awaiting-welcome', 'ended'],
  'awaiting-welcome': ['welcoming', 'ended'],
  welcoming: ['up', 'ended'],
  up: ['ended'],
  ended: [],
};

/** A path that says nothing for this long during the handshake is no path. */
const HANDSHAKE_LIMIT = seconds(15);
/** A path whose heartbeats go unanswered this many times in a row is no path. */
const MISSED_HEARTBEATS = 3;

/** Hello but for what belongs to the session. */
export type SelfDescription = Omit<Hello, 'nonce' | 'version' | 'sessionKey'>;

/** What proves its author for good, once its session is over. */
export type ContentMessage = Extract<UpMessage, { $case: 'batch' | 'gap' }>;

/** The hub behind a session. */
export interface HubMember {
  readonly key: SigningKey;
  /** What the hub says of itself. */
  hello(): SelfDescription;
  /** The key of a cloud node's certificate, verified up to the mesh CA. Throws when it is not one. */
  verifyCloud(certificate: Uint8Array): VerifyKey;
  /** The session is proved: write the generation down, compare logs. Nothing is sent before it resolves. */
  welcomed(welcome: Welcome): Promise<void>;
  /** The session is up. */
  up(session: HubSession, welcome: Welcome): void;
  /** A verified message; those with a lasting signature are for the member to verify. */
  received(message: DownMessage): Promise<void> | undefined;
  /** The next sign of life. */
  heartbeat(): Omit<Heartbeat, 'number'>;
}

export interface HubSessionModules {
  readonly pipe: Pipe;
  readonly member: HubMember;
  readonly clock: Clock;
  readonly nonce: Buffer;
  /** Protocol versions; default: what this release speaks. */
  readonly versions?: readonly number[];
  /** Default: a new one. */
  readonly keyPair?: SessionKeyPair;
  readonly log: Logger;
}

export class HubSession {
  readonly #state = new StateMachine<HubSessionState>('hub session', HUB_SESSION_EDGES, 'awaiting-challenge');
  readonly #inbox: Inbox;
  readonly #timers = new Set<Timer>();
  readonly #ended: Promise<Ending>;
  readonly #opened: Promise<void>;
  #resolveOpened: () => void = () => undefined;
  #resolveEnded: (why: Ending) => void = () => undefined;
  #challenge: Uint8Array = new Uint8Array(0);
  #hello: Uint8Array = new Uint8Array(0);
  /** Until both ends have agreed. */
  #keyPair: SessionKeyPair | undefined;
  #sealer: FrameSealer | undefined;
  #opener: FrameOpener | undefined;
  #implied: Implied | undefined;
  #beats = 0;
  #answered = 0;

  constructor(private readonly modules: HubSessionModules) {
    this.#ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.#resolveOpened = resolve;
    });
    this.#inbox = new Inbox(
      (envelope) => this.#receive(envelope),
      (thrown) => this.#fail(thrown),
      4 * MAX_ENVELOPE_BYTES,
    );
    this.#arm(HANDSHAKE_LIMIT, () => this.#fail(new LinkFault('link.silent', 'no answer during the handshake')));
    modules.pipe.listen({
      message: (envelope) => this.#inbox.push(envelope),
      closed: (why) => this.#finish(why),
    });
  }

  get state(): HubSessionState {
    return this.#state.state;
  }

  /** Resolves with undefined when the session is up, with the reason when it ended before that. */
  get opened(): Promise<Ending | undefined> {
    return Promise.race([this.#opened.then(() => undefined), this.#ended]);
  }

  /** Resolves when the session has ended, with the reason; never rejects. */
  get ended(): Promise<Ending> {
    return this.#ended;
  }

  /** Bytes that the carrier has not taken yet. */
  get queuedBytes(): number {
    return this.modules.pipe.queuedBytes;
  }

  drained(): Promise<void> {
    return this.modules.pipe.drained();
  }

  /** Sends a frame of this session. Ignored unless the session is up. */
  send(message: UpMessage): void {
    if (!this.#state.is('up') || !this.#sealer) return;
    const payload = encodeUp(message);
    const { counter, mac } = this.#sealer.seal(payload);
    this.modules.pipe.send(frameEnvelope(payload, counter, mac), Lane.CONTROL);
  }

  /** Sends content that carries its own lasting signature; returns the bytes that travel, 0 unless the session is up. */
  sendContent(message: ContentMessage, lane: Lane): number {
    if (!this.#state.is('up') || !this.#implied) return 0;
    const isBatch = message.$case === 'batch';
    const payload = encodeUp(isBatch ? { ...message, value: this.#implied.leaveOut(message.value) } : message);
    const envelope = bareEnvelope(lane, payload);
    this.modules.pipe.send(envelope, lane);
    return envelope.length;
  }

  /** Tells the cloud at once how things are, and not only when the next sign of life is due. */
  report(): void {
    if (!this.#state.is('up')) return;
    const value = { ...this.modules.member.heartbeat(), number: this.#beats };
    this.#implied?.heartbeat(value);
    this.send({ $case: 'heartbeat', value });
  }

  close(why: Ending): void {
    this.modules.pipe.close(why);
    this.#finish(why);
  }

  #receive(bytes: Uint8Array): Promise<void> | undefined {
    const envelope = decodeEnvelope(bytes);
    const { payload } = envelope;
    const message = decodeDown(payload);
    switch (message.$case) {
      case 'challenge':
        return this.#answerChallenge(payload, message.value.versions, message.value.nonce);
      case 'welcome':
        return this.#takeWelcome(payload, envelope.signature, message.value);
      case 'desiredState':
        this.#mustBeUp();
        return this.modules.member.received(message);
      default:
        this.#mustBeUp().open(payload, envelope.counter, envelope.mac);
        if (message.$case === 'heartbeatAnswer') this.#answered = Math.max(this.#answered, message.value.number);
        return this.modules.member.received(message);
    }
  }

  #mustBeUp(): FrameOpener {
    if (!this.#opener || !this.#state.is('up')) throw new LinkFault('link.protocol', 'content before the welcome');
    return this.#opener;
  }

  #answerChallenge(payload: Uint8Array, versions: readonly number[], nonce: Uint8Array): undefined {
    if (!this.#state.is('awaiting-challenge')) throw new LinkFault('link.protocol', 'a second challenge');
    if (nonce.length !== 32) throw new LinkFault('link.protocol', 'challenge without a nonce of 32 bytes');
    const own = { role: 'hub', versions: this.modules.versions ?? SPEAKS.versions };
    const cloud = { role: 'cloud', versions };
    const version = agreeOnVersion(own, cloud);
    const advice = olderServer(own, cloud);
    if (advice !== undefined) this.modules.log.warn({ version }, advice);
    this.#state.to('awaiting-welcome');
    const { member, pipe } = this.modules;
    // Kept by copy: decoded bytes are views into the carrier's buffer.
    this.#challenge = Uint8Array.from(payload);
    this.#keyPair = this.modules.keyPair ?? new SessionKeyPair();
    const sessionKey = this.#keyPair.publicKey;
    this.#hello = encodeUp({
      $case: 'hello',
      value: { ...member.hello(), nonce: this.modules.nonce, version, sessionKey },
    });
    const signature = member.key.sign(helloInput(this.#challenge, this.#hello));
    pipe.send(signedEnvelope(this.#hello, signature), Lane.CONTROL);
  }

  async #takeWelcome(payload: Uint8Array, signature: Uint8Array, welcome: Welcome): Promise<void> {
    if (!this.#state.is('awaiting-welcome') || !this.#keyPair) {
      throw new LinkFault('link.protocol', 'a welcome that was not due');
    }
    const { member } = this.modules;
    const cloud = member.verifyCloud(welcome.certificate);
    if (!cloud.verify(welcomeInput(this.#challenge, this.#hello, payload), signature)) {
      throw new LinkFault(
        'link.unauthentic',
        'the welcome is not signed by a cloud node of this mesh for this session',
      );
    }
    const keys = this.#keyPair.agree(welcome.sessionKey, sessionId(this.#challenge, this.#hello));
    this.#keyPair = undefined;
    this.#sealer = new FrameSealer(keys.U);
    this.#opener = new FrameOpener(keys.D);
    this.#implied = new Implied(member.key.publicKey);
    this.#state.to('welcoming');
    await member.welcomed(welcome);
    if (!this.#state.is('welcoming')) return;
    this.#disarm();
    this.#state.to('up');
    member.up(this, welcome);
    this.#beat();
    if (!this.#state.is('up')) return;
    this.#timers.add(every(this.modules.clock, milliseconds(Math.max(100, welcome.heartbeatMs)), () => this.#beat()));
    this.#resolveOpened();
  }

  #beat(): void {
    if (this.#beats - this.#answered >= MISSED_HEARTBEATS) {
      this.#fail(new LinkFault('link.silent', `${MISSED_HEARTBEATS} heartbeats without an answer from the cloud`));
      return;
    }
    this.#beats += 1;
    this.report();
  }

  #fail(thrown: unknown): void {
    if (this.#state.is('ended')) return;
    this.modules.log.warn({ cause: describe(thrown) }, 'session ended by this hub');
    this.close(thrown instanceof LinkFault ? endingOf(thrown) : ending(CloseCode.INTERNAL, describe(thrown)));
  }

  #finish(why: Ending): void {
    if (this.#state.is('ended')) return;
    this.#state.to('ended');
    this.#inbox.close();
    this.#disarm();
    this.#resolveEnded(why);
  }

  #arm(delay: Duration, action: () => void): void {
    this.#timers.add(this.modules.clock.after(delay, action));
  }

  #disarm(): void {
    for (const timer of this.#timers) timer.disarm();
    this.#timers.clear();
  }
}
