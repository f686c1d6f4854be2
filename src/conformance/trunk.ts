// A connector's trunk, said and heard frame by frame, and channels of it as wires for hubs.
import { CloseCode, type Frame, TrunkFrames, TrunkHello } from '../../gen/occmesh/trunk/v1/trunk.js';
import { systemRandom } from '../kernel/random.js';
import type { Bench, End, PlayedConnector, Wire } from './bench.js';
import { within } from './patience.js';
import { Broken, require } from './rule.js';

type Body = NonNullable<Frame['body']>;
export type Heard<K extends Body['$case']> = Extract<Body, { $case: K }>['value'];

export class Trunk {
  readonly #waiting: Frame[] = [];
  readonly #channels = new Map<number, ChannelWire>();

  private constructor(
    private readonly bench: Bench,
    private readonly wire: Wire,
  ) {}

  /** Nothing has been said. */
  static open(bench: Bench): Trunk {
    if (!bench.connector) throw new Error('the rule needs a connector');
    return new Trunk(bench, bench.connector.openTrunk());
  }

  /** Resolves with the trunk, when it is up, and the answer to its Hello. */
  static async up(bench: Bench, change: Partial<TrunkHello> = {}) {
    const trunk = Trunk.open(bench);
    trunk.greet(change);
    return { trunk, welcome: await trunk.hear('welcome') };
  }

  greet(change: Partial<TrunkHello> = {}): void {
    const clockMs = this.bench.clock.now();
    const self = { version: 1, bootId: systemRandom.bytes(16), software: 'conformance', clockMs };
    this.say(0, { $case: 'hello', value: TrunkHello.fromPartial({ ...self, ...change }) });
  }

  say(channel: number, body: Body): void {
    this.raw(TrunkFrames.encode({ frames: [{ channel, body }] }).finish());
  }

  raw(bytes: Uint8Array): void {
    this.wire.send(bytes);
  }

  open(channel: number, certificate: Uint8Array): void {
    this.say(channel, { $case: 'open', value: { certificate, address: '192.0.2.1:1' } });
  }

  /** Opens a channel; what comes on it goes there as long as frames are heard. */
  channel(id: number, { hub }: PlayedConnector): Wire {
    const wire = new ChannelWire((envelope) => this.say(id, { $case: 'envelope', value: envelope }), this);
    this.#channels.set(id, wire);
    this.open(id, hub.certificate);
    return wire;
  }

  /** The next frame of that kind, on that channel; others are passed over. */
  async hear<K extends Body['$case']>(kind: K, channel = 0): Promise<Heard<K>> {
    for (;;) {
      const frame = await this.next(`${kind} on channel ${channel}`);
      if (!frame) throw new Broken(`expected ${kind}, the trunk ended with ${(await this.wire.ended).reason}`);
      if (frame.channel === channel && frame.body?.$case === kind) return frame.body.value as Heard<K>;
    }
  }

  /** Still there, and answers. */
  async alive(number: number): Promise<void> {
    this.say(0, { $case: 'heartbeat', value: { number, hubs: 0 } });
    const answer = await this.hear('heartbeatAnswer');
    require(answer.number === number, `heartbeat ${answer.number} was answered, ${number} was due`);
  }

  async endsWith(...reasons: readonly string[]): Promise<End> {
    const expected = `an end of the trunk with ${reasons.join(' or ')}`;
    while (await this.next(expected));
    const end = await this.wire.ended;
    require(reasons.includes(end.reason), `expected ${expected}, got ${end.reason} (${end.message})`);
    return end;
  }

  cut(): void {
    this.wire.close();
  }

  /** Undefined after the end. */
  async next(what: string): Promise<Frame | undefined> {
    while (this.#waiting.length === 0) {
      const bytes = await within(this.bench, this.wire.receive(), what);
      if (!bytes) return undefined;
      this.#waiting.push(...TrunkFrames.decode(bytes).frames);
    }
    const frame = this.#waiting.shift();
    if (frame) this.#channels.get(frame.channel)?.take(frame);
    return frame;
  }
}

/** Hears by letting the trunk hear. */
class ChannelWire implements Wire {
  readonly ended: Promise<End>;
  #end: (end: End) => void = () => undefined;
  #over = false;
  readonly #envelopes: Uint8Array[] = [];

  constructor(
    readonly send: (envelope: Uint8Array) => void,
    private readonly trunk: Trunk,
  ) {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  async receive(): Promise<Uint8Array | undefined> {
    while (this.#envelopes.length === 0 && !this.#over) {
      if (!(await this.trunk.next('an envelope')))
        this.#finish({ reason: '', message: 'the trunk has ended', retryAfterMs: 0 });
    }
    return this.#envelopes.shift();
  }

  take({ body }: Frame): void {
    if (body?.$case === 'envelope') this.#envelopes.push(body.value);
    if (body?.$case !== 'close') return;
    const { code, message, retryAfterMs } = body.value;
    this.#finish({ reason: CloseCode[code] ?? String(code), message, retryAfterMs });
  }

  close(): void {
    this.#finish({ reason: '', message: 'cut', retryAfterMs: 0 });
  }

  #finish(end: End): void {
    this.#over = true;
    this.#end(end);
  }
}
