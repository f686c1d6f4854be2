// The cloud's end of one session: handshake, proofs of authorship, the order of frames. Who is admitted, what is stored
// and what is answered is the CloudHost's business (src/cloud/sessions).
import { Challenge, type Hello, Lane, type SignedByCloud, type Welcome } from '../../gen/occmesh/link/v1/link.js';
import type { SigningKey, VerifyKey } from '../identity/keys.js';
import type { Clock, Timer } from '../kernel/clock.js';
import { seconds } from '../kernel/duration.js';
import { type Edges, StateMachine } from '../kernel/machine.js';
import type { Random } from '../kernel/random.js';
import {
  bareEnvelope,
  type DownMessage,
  decodeEnvelope,
  decodeUp,
  encodeDown,
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
import { agreeOnCapabilities, agreeOnVersion, SPEAKS, type Speaks } from './negotiation.js';
import type { Ending, Pipe } from './pipe.js';
import { MAX_GENERATION, MAX_SELF_DESCRIPTION, MOST_LOGS, MOST_SEALING_KEYS } from './version.js';

export type CloudSessionState = 'awaiting-hello' | 'admitting' | 'up' | 'ended';

export const CLOUD_SESSION_EDGES: Edges<CloudSessionState> = {
  'awaiting-hello': ['admitting', 'ended'],
  admitting: ['up', 'ended'],
  up: ['ended'],
  ended: [],
};

const ID_BYTES = 16;
const NOTHING = new Uint8Array(0);
/** A peer that has not said Hello by then gives up its place. */
const HELLO_LIMIT = seconds(20);

/** What the host says to a Hello. */
export interface Admission {
  readonly welcome: Omit<Welcome, 'certificate' | 'sessionKey' | 'capabilities'>;
}

/** The cloud behind a session. */
export interface CloudHost {
  /** Signs for this cloud node. */
  readonly key: SigningKey;
  /** This node's certificate, DER. */
  readonly certificate: Buffer;
  /** The key of the hub that this Hello may speak for. Throws LinkFault when it may not be on this carrier at all. */
  verifyHub(hello: Hello): VerifyKey;
  /** Makes the session the hub's current one, durably. Throws LinkFault to refuse. */
  admit(session: CloudSession, hello: Hello): Promise<Admission>;
  /** The session is up; Welcome has been sent. */
  up(session: CloudSession, hello: Hello): void;
  /** A message of the hub; batches and gaps are for the host to verify, all else is verified. */
  received(session: CloudSession, message: UpMessage, lane: Lane, bytes: number): Promise<void> | undefined;
  /** The cloud is about to end the session because of this. */
  failed(thrown: unknown): void;
  /** The session has ended; called once, also when it never was up. */
  ended(session: CloudSession, why: Ending): void;
}

export interface CloudSessionModules {
  readonly pipe: Pipe;
  readonly host: CloudHost;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: what this release speaks. */
  readonly speaks?: Speaks;
  /** Default: a new one. */
  readonly keyPair?: SessionKeyPair;
}

/** What both ends have from the handshake on. */
interface Agreed {
  readonly sealer: FrameSealer;
  readonly opener: FrameOpener;
  readonly implied: Implied;
}

export class CloudSession {
  readonly #state = new StateMachine<CloudSessionState>('cloud session', CLOUD_SESSION_EDGES, 'awaiting-hello');
  #challenge: Uint8Array;
  readonly #inbox: Inbox;
  readonly #speaks: Speaks;
  #timer: Timer | undefined;
  #agreed: Agreed | undefined;

  constructor(private readonly modules: CloudSessionModules) {
    this.#speaks = modules.speaks ?? SPEAKS;
    this.#inbox = new Inbox(
      (envelope) => this.#receive(envelope),
      (thrown) => this.fail(thrown),
      4 * MAX_ENVELOPE_BYTES,
    );
    const nonce = modules.random.bytes(32);
    this.#challenge = encodeDown({
      $case: 'challenge',
      value: Challenge.fromPartial({ nonce, versions: [...this.#speaks.versions] }),
    });
    this.#timer = modules.clock.after(HELLO_LIMIT, () => this.fail(new LinkFault('link.silent', 'no Hello in time')));
    modules.pipe.listen({
      message: (envelope) => this.#inbox.push(envelope),
      closed: (why) => this.#finish(why),
    });
    modules.pipe.send(bareEnvelope(Lane.CONTROL, this.#challenge), Lane.CONTROL);
  }

  get state(): CloudSessionState {
    return this.#state.state;
  }

  /** Sends a frame of this session. Ignored unless the session is up. */
  send(message: DownMessage): void {
    if (!this.#state.is('up') || !this.#agreed) return;
    const payload = encodeDown(message);
    const { counter, mac } = this.#agreed.sealer.seal(payload);
    this.modules.pipe.send(frameEnvelope(payload, counter, mac), Lane.CONTROL);
  }

  /** Sends a desired state, which carries its own lasting signature. */
  sendDesiredState(state: SignedByCloud): void {
    if (!this.#state.is('up')) return;
    this.modules.pipe.send(
      bareEnvelope(Lane.CONTROL, encodeDown({ $case: 'desiredState', value: state })),
      Lane.CONTROL,
    );
  }

  /** Ends the session because of a fault: the hub is told its code, the log its cause. */
  fail(thrown: unknown): void {
    if (this.#state.is('ended')) return;
    this.modules.host.failed(thrown);
    this.close(endingOf(thrown));
  }

  close(why: Ending): void {
    this.modules.pipe.close(why);
    this.#finish(why);
  }

  #receive(bytes: Uint8Array): Promise<void> | undefined {
    const envelope = decodeEnvelope(bytes);
    const { payload } = envelope;
    const message = decodeUp(payload);
    switch (message.$case) {
      case 'hello':
        return this.#admit(payload, envelope.signature, message.value);
      case 'batch':
        message.value = this.#mustBeUp().implied.putBack(message.value);
        break;
      case 'gap':
        this.#mustBeUp();
        break;
      default: {
        const { opener, implied } = this.#mustBeUp();
        opener.open(payload, envelope.counter, envelope.mac);
        if (message.$case === 'heartbeat') implied.heartbeat(message.value);
      }
    }
    return this.modules.host.received(this, message, envelope.lane, bytes.length);
  }

  #mustBeUp(): Agreed {
    if (!this.#agreed || !this.#state.is('up')) {
      throw new LinkFault('link.protocol', 'content before the session is up');
    }
    return this.#agreed;
  }

  async #admit(payload: Uint8Array, signature: Uint8Array, hello: Hello): Promise<void> {
    if (!this.#state.is('awaiting-hello')) throw new LinkFault('link.protocol', 'a second Hello');
    const { host, pipe } = this.modules;
    checkHello(hello);
    const { versions } = this.#speaks;
    agreeOnVersion({ role: 'hub', versions: [hello.version] }, { role: 'cloud', versions });
    const capabilities = agreeOnCapabilities(this.#speaks.capabilities, hello.capabilities);
    const hub = host.verifyHub(hello);
    if (!hub.verify(helloInput(this.#challenge, payload), signature)) {
      throw new LinkFault('link.unauthentic', 'the signature of Hello does not verify');
    }
    this.#state.to('admitting');
    const helloBytes = Uint8Array.from(payload);
    // Before anything is changed for a Hello that leads nowhere.
    const keyPair = this.modules.keyPair ?? new SessionKeyPair();
    const keys = keyPair.agree(hello.sessionKey, sessionId(this.#challenge, helloBytes));
    const { welcome } = await host.admit(this, hello);
    if (!this.#state.is('admitting')) return;
    this.#disarm();
    this.#agreed = { sealer: new FrameSealer(keys.D), opener: new FrameOpener(keys.U), implied: new Implied(hub) };
    this.#state.to('up');
    const value = { ...welcome, certificate: host.certificate, sessionKey: keyPair.publicKey, capabilities };
    const answer = encodeDown({ $case: 'welcome', value });
    const input = welcomeInput(this.#challenge, helloBytes, answer);
    pipe.send(signedEnvelope(answer, host.key.sign(input)), Lane.CONTROL);
    this.#challenge = NOTHING;
    host.up(this, hello);
  }

  #disarm(): void {
    this.#timer?.disarm();
    this.#timer = undefined;
  }

  #finish(why: Ending): void {
    if (this.#state.is('ended')) return;
    this.#state.to('ended');
    this.#disarm();
    this.#inbox.close();
    this.modules.host.ended(this, why);
  }
}

function checkHello({ nonce, bootId, generation, logs, software, previousEnd, sealingKeys }: Hello): void {
  if (nonce.length !== 32) throw new LinkFault('link.protocol', 'Hello without a nonce of 32 bytes');
  if (bootId.length !== ID_BYTES) throw new LinkFault('link.protocol', 'Hello without a boot id of 16 bytes');
  if (generation > MAX_GENERATION) throw new LinkFault('link.protocol', 'a generation that was never issued');
  if (Math.max(software.length, previousEnd.length) > MAX_SELF_DESCRIPTION) {
    throw new LinkFault('link.protocol', 'a Hello that says too much of itself');
  }
  if (sealingKeys.length > MOST_SEALING_KEYS) throw new LinkFault('link.protocol', 'Hello with too many sealing keys');
  if (logs.length > MOST_LOGS) throw new LinkFault('link.protocol', `Hello with ${logs.length} logs`);
  if (logs.some(({ log }) => log.length !== ID_BYTES)) throw new LinkFault('link.protocol', 'a log id that is none');
}
