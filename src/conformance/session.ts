// A hub's session, said and heard step by step. It says whatever it is told to, right or wrong, and watches that whatever
// comes down keeps to what holds for every frame.
import { Envelope, Hello, Lane, LinkDown, LinkUp, type Welcome } from '../../gen/occmesh/link/v1/link.js';
import { sleep } from '../kernel/clock.js';
import { milliseconds } from '../kernel/duration.js';
import { systemRandom } from '../kernel/random.js';
import type { Bench, End, PlayedHub, Wire } from './bench.js';
import { within } from './patience.js';
import { Broken, require } from './rule.js';
import { type FrameKeys, helloText, KeyAgreement, macOf, welcomeText } from './wire.js';

export type Up = NonNullable<LinkUp['message']>;
export type Down = NonNullable<LinkDown['message']>;
export type Heard<K extends Down['$case']> = Extract<Down, { $case: K }>['value'];

const NOTHING = new Uint8Array(0);
/** Waits that a server asks for are kept, as the contract says; but not for ever. */
const LONGEST_WAIT_MS = 60_000;
const MOST_TRIES = 10;

export interface Greeting {
  readonly change?: Partial<Hello>;
  /** What is signed is replaced by this. */
  readonly signature?: (signature: Buffer) => Uint8Array;
}

export interface Tampering {
  readonly counter?: (due: number) => number;
  readonly mac?: (mac: Buffer) => Uint8Array;
  readonly lane?: Lane;
}

export class Session {
  readonly #agreement = new KeyAgreement();
  hello: Uint8Array = NOTHING;
  /** The envelope of Hello, as it was sent. */
  helloEnvelope: Uint8Array = NOTHING;
  #keys: FrameKeys | undefined;
  #said = 0;
  #heard = 0;

  private constructor(
    private readonly bench: Bench,
    readonly hub: PlayedHub,
    private readonly wire: Wire,
    /** The payload of Challenge, as it came. */
    readonly challenge: Uint8Array,
  ) {}

  /** Resolves with Challenge heard. Comes again where the server asks to wait, and where its cloud is away. */
  static async open(bench: Bench, hub = bench.hub): Promise<Session> {
    for (let tries = 0; ; tries++) {
      const wire = bench.target.open(hub);
      const first = await within(bench, wire.receive(), 'Challenge');
      if (first) {
        const { payload } = Envelope.decode(first);
        const session = new Session(bench, hub, wire, payload);
        session.#watch(Envelope.decode(first), 'challenge');
        require(session.#meaning(payload).$case === 'challenge', 'the server’s first word is not Challenge');
        return session;
      }
      const end = await wire.ended;
      const mayComeAgain = ['EXHAUSTED', 'NO_CLOUD', 'GOING_AWAY', 'SUPERSEDED'].includes(end.reason);
      if (!mayComeAgain || tries === MOST_TRIES) throw new Broken(`no Challenge; the stream ended with ${told(end)}`);
      await sleep(bench.clock, milliseconds(Math.min(LONGEST_WAIT_MS, Math.max(200, end.retryAfterMs))));
    }
  }

  /** Resolves when the session is up. */
  static async up(bench: Bench, hub = bench.hub, change: Partial<Hello> = {}): Promise<Session> {
    const session = await Session.open(bench, hub);
    session.greet({ change });
    await session.welcomed();
    return session;
  }

  get offer(): Heard<'challenge'> {
    const message = this.#meaning(this.challenge);
    if (message.$case !== 'challenge') throw new Broken('Challenge is something else');
    return message.value;
  }

  greet({ change = {}, signature = (right) => right }: Greeting = {}): void {
    const { hub, bench } = this;
    const value = Hello.fromPartial({
      ...{ nonce: systemRandom.bytes(32), machineId: hub.machineId, certificate: hub.certificate },
      ...{ bootId: systemRandom.bytes(16), generation: hub.generation, version: 1, clockMs: bench.clock.now() },
      ...{ path: 1, software: 'conformance', sessionKey: this.#agreement.publicKey },
      ...change,
    });
    this.hello = LinkUp.encode({ message: { $case: 'hello', value } }).finish();
    const signed = signature(hub.key.sign(helloText(this.challenge, this.hello)));
    this.helloEnvelope = envelope({ payload: this.hello, signature: signed });
    this.raw(this.helloEnvelope);
  }

  /** Verifies Welcome, and takes the keys from it. */
  async welcomed(): Promise<Welcome> {
    const { frame, message } = await this.#next('Welcome');
    require(message.$case === 'welcome', `Welcome was due, ${message.$case} came`);
    const { value } = message;
    const node = this.hub.trust.verify(value.certificate, this.bench.clock.now(), { role: 'cloud' }).key;
    const text = welcomeText(this.challenge, this.hello, frame.payload);
    require(node.verify(text, frame.signature), 'the signature of Welcome does not verify over the whole transcript');
    require(value.sessionKey.length === 32, `Welcome has a session key of ${value.sessionKey.length} bytes`);
    this.#keys = this.#agreement.agree(value.sessionKey, this.challenge, this.hello);
    this.hub.generation = value.generation;
    return value;
  }

  /** A frame with counter and MAC. */
  say(message: Up, tampering: Tampering = {}): void {
    this.sayPayload(LinkUp.encode({ message }).finish(), tampering);
  }

  sayPayload(payload: Uint8Array, { counter = (due) => due, mac = (right) => right, lane }: Tampering = {}): void {
    const number = counter(this.#said + 1);
    this.#said = number;
    const right = macOf(this.#keys?.up ?? new Uint8Array(32), number, payload);
    this.raw(envelope({ payload, counter: number, mac: mac(right), ...(lane === undefined ? {} : { lane }) }));
  }

  /** The last frame once more is `say` with the same counter; this is content with a lasting signature. */
  sayContent(message: Up, lane: Lane): void {
    this.raw(envelope({ payload: LinkUp.encode({ message }).finish(), lane }));
  }

  beat(number: number, more: Partial<Extract<Up, { $case: 'heartbeat' }>['value']> = {}, tampering?: Tampering): void {
    const nothing = { queuedReadings: 0, queuedAgeMs: 0, droppedReadings: 0, backlogBytes: 0, log: NOTHING, next: 0 };
    const value = { ...nothing, number, clockMs: this.bench.clock.now(), ...more };
    this.say({ $case: 'heartbeat', value }, tampering);
  }

  raw(bytes: Uint8Array): void {
    this.wire.send(bytes);
  }

  /** The next message of one of these kinds; others are passed over. */
  async hear<K extends Down['$case']>(...kinds: readonly K[]): Promise<Extract<Down, { $case: K }>> {
    for (;;) {
      const { message } = await this.#next(kinds.join(' or '));
      if ((kinds as readonly string[]).includes(message.$case)) return message as Extract<Down, { $case: K }>;
    }
  }

  /** Resolves when the stream has ended for one of these reasons. None of `never` may come before. */
  async endsWith(reasons: readonly string[], never: readonly Down['$case'][] = []): Promise<End> {
    const expected = `an end with ${reasons.join(' or ')}`;
    for (;;) {
      const bytes = await this.#receive(expected);
      if (!bytes) break;
      const { $case } = this.#take(bytes).message;
      require(!never.includes($case), `expected ${expected}, got ${$case}`);
    }
    const end = await this.wire.ended;
    require(reasons.includes(end.reason), `expected ${expected}, got ${told(end)}`);
    return end;
  }

  cut(): void {
    this.wire.close();
  }

  async #next(what: string): Promise<{ frame: Envelope; message: Down }> {
    const bytes = await this.#receive(what);
    if (!bytes) throw new Broken(`expected ${what}, the stream ended with ${told(await this.wire.ended)}`);
    return this.#take(bytes);
  }

  #receive(what: string): Promise<Uint8Array | undefined> {
    return within(this.bench, this.wire.receive(), what);
  }

  #take(bytes: Uint8Array): { frame: Envelope; message: Down } {
    const frame = Envelope.decode(bytes);
    const message = this.#meaning(frame.payload);
    this.#watch(frame, message.$case);
    return { frame, message };
  }

  #meaning(payload: Uint8Array): Down {
    const { message } = LinkDown.decode(payload);
    if (!message) throw new Broken('a frame without content');
    return message;
  }

  #watch({ lane, counter, mac, signature, payload }: Envelope, kind: Down['$case']): void {
    const broken = (id: string, words: string) => {
      if (!this.bench.seenBroken.has(id)) this.bench.seenBroken.set(id, words);
    };
    if (lane !== Lane.CONTROL) broken('link.down.lane', `${kind} came in lane ${lane}`);
    if (kind === 'challenge' || kind === 'welcome' || kind === 'desiredState') {
      if (counter !== 0 || mac.length > 0) broken('link.down.counter', `${kind} came with a counter or a MAC`);
      return;
    }
    if (counter !== ++this.#heard)
      broken('link.down.counter', `${kind} had counter ${counter}, ${this.#heard} was due`);
    const right = this.#keys && macOf(this.#keys.down, counter, payload);
    if (!right?.equals(mac) || signature.length > 0) broken('link.down.mac', `the MAC of ${kind} ${counter} is wrong`);
  }
}

const told = (end: End): string => `${end.reason || 'no reason'}${end.message === '' ? '' : ` (${end.message})`}`;

function envelope(parts: Partial<Envelope>): Uint8Array {
  return Envelope.encode(Envelope.fromPartial({ lane: Lane.CONTROL, ...parts })).finish();
}
