// One session of the fake cloud.
import {
  Challenge,
  Envelope,
  type Heartbeat,
  type Hello,
  Lane,
  LinkDown,
  LinkUp,
  Welcome,
} from '../../../gen/occmesh/link/v1/link.js';
import { Gap, type Signed } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { PlayedHub } from '../../../src/conformance/bench.js';
import { MeshCertificate } from '../../../src/identity/certificates.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { verifySigned } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { FrameOpener, FrameSealer, SessionKeyPair } from '../../../src/link/frames.js';
import { helloInput, sessionId, welcomeInput } from '../../../src/link/handshake.js';
import { unpackBatch } from '../../../src/telemetry/batch.js';
import { RangeSet } from '../../../src/telemetry/ranges.js';
import type { Flaw, HeldLog, Memory, MemoryWire } from './fake-target.js';

type Down = NonNullable<LinkDown['message']>;

class Refusal extends Error {
  constructor(
    readonly code: CloseCode,
    message: string,
  ) {
    super(message);
  }
}

const NOTHING = new Uint8Array(0);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const MOST_CREDIT = 300 * 1024;

export class FakeSession {
  readonly #challenge: Uint8Array;
  #hello: Hello | undefined;
  #sealer: FrameSealer | undefined;
  #opener: FrameOpener | undefined;
  #log = NOTHING;
  #backfill = 0;

  constructor(
    private readonly memory: Memory,
    private readonly hub: PlayedHub,
    private readonly wire: MemoryWire,
  ) {
    const nonce = this.#has('same nonce') ? Buffer.alloc(32, 1) : systemRandom.bytes(32);
    const versions = this.#has('versions in any order') ? [2, 1] : [1];
    this.#challenge = this.#payload({ $case: 'challenge', value: Challenge.fromPartial({ nonce, versions }) });
    if (memory.retired.has(this.hubId) && !this.#has('retired are welcome')) {
      this.end(CloseCode.REFUSED, 'retired');
      return;
    }
    this.#send({ payload: this.#challenge });
  }

  get hubId(): string {
    return hex(this.hub.machineId);
  }

  #has(flaw: Flaw): boolean {
    return this.memory.flaw === flaw;
  }

  received(bytes: Uint8Array): void {
    try {
      this.#take(bytes);
    } catch (thrown) {
      if (this.#has('garbage passed over') && !(thrown instanceof Refusal)) return;
      const { code, message } = thrown instanceof Refusal ? thrown : new Refusal(CloseCode.PROTOCOL, String(thrown));
      this.end(code, message);
      if (this.#has('all pay for one')) for (const other of [...this.memory.sessions]) other.end(code, message);
    }
  }

  end(code: CloseCode, message: string): void {
    this.memory.sessions.delete(this);
    const reason = this.#has('no reason') ? '' : CloseCode[code];
    this.wire.over({ reason, message: this.#has('no reason') ? '' : message, retryAfterMs: 0 });
  }

  #take(bytes: Uint8Array): void {
    const must = (condition: boolean, message: string, code = CloseCode.PROTOCOL) => {
      if (!condition) throw new Refusal(code, message);
    };
    must(bytes.length <= 1 << 20 || this.#has('any size'), 'too large');
    const envelope = Envelope.decode(bytes);
    const { message } = LinkUp.decode(envelope.payload);
    if (!message && this.#has('unknown kinds passed over')) return;
    if (!message) throw new Refusal(CloseCode.PROTOCOL, 'unknown');
    if (message.$case === 'hello') return this.#greet(envelope, message.value, must);
    if (!this.#opener && this.#has('answers before Hello') && message.$case === 'heartbeat') {
      this.#say({ $case: 'heartbeatAnswer', value: { number: message.value.number, clockMs: 0 } });
    }
    must(this.#opener !== undefined, 'before Hello');
    if (message.$case === 'batch') return this.#batch(message.value, envelope.lane, bytes.length, must);
    if (message.$case === 'gap') return this.#gap(message.value, must);
    this.#open(envelope);
    if (this.#has('unknown fields refused')) {
      must(hex(LinkUp.encode({ message }).finish()) === hex(envelope.payload), 'something unknown');
    }
    if (message.$case === 'heartbeat') return this.#heartbeat(message.value);
    if (message.$case === 'bye' && !this.#has('deaf to Bye')) this.end(CloseCode.DONE, 'goodbye');
    if (message.$case === 'digestRequest') {
      const { log } = message.value;
      const digests = [...this.#held(log).flushes].map(([flush, { chain }]) => ({
        flush,
        chain: this.#has('invents digests') ? systemRandom.bytes(16) : chain,
        expiredUntilMs: 0,
      }));
      this.#say({ $case: 'digestAnswer', value: { log, range: message.value.range, digests } });
    }
  }

  #open({ payload, counter, mac }: Envelope): void {
    try {
      this.#opener?.open(payload, counter, mac);
    } catch (thrown) {
      const isCounter = /due/.test(String(thrown));
      if (isCounter ? this.#has('counter unverified') : this.#has('MAC unverified')) return;
      throw new Refusal(CloseCode.UNAUTHENTIC, String(thrown));
    }
  }

  #greet(envelope: Envelope, hello: Hello, must: (c: boolean, m: string, code?: CloseCode) => void): void {
    const { memory } = this;
    must(!this.#hello || this.#has('Hello twice'), 'a second Hello');
    must(hello.version === 1 || this.#has('any version'), 'no version in common. Update the hub.', CloseCode.VERSION);
    must(hello.nonce.length === 32 || this.#has('any nonce'), 'nonce');
    must(hello.logs.length <= 256 || this.#has('any number of logs'), 'logs');
    must(hello.clockMs > 1_000 || !this.#has('clocks must be right'), 'clock');
    const { key } = MeshCertificate.parse(hello.certificate);
    const isHub = this.hub.machineId.equals(hello.machineId) || this.#has('any machine id');
    must(isHub, 'another machine', CloseCode.REFUSED);
    const proved = key.verify(helloInput(this.#challenge, envelope.payload), envelope.signature);
    must(proved || this.#has('Hello unverified'), 'signature', CloseCode.UNAUTHENTIC);
    this.#hello = hello;
    const pair = new SessionKeyPair();
    const anyKey =
      this.#has('any session key') && (hello.sessionKey.length !== 32 || hello.sessionKey.every((b) => b === 0));
    const keys = pair.agree(anyKey ? pair.publicKey : hello.sessionKey, sessionId(this.#challenge, envelope.payload));
    this.#sealer = new FrameSealer(
      this.#has('wrong MACs') ? Buffer.alloc(32) : keys.D,
      this.#has('wrong counters') ? 7 : 0,
    );
    this.#opener = new FrameOpener(keys.U);
    if (!this.#has('two sessions')) {
      for (const other of [...memory.sessions])
        if (other.hubId === this.hubId) other.end(CloseCode.SUPERSEDED, 'newer');
    }
    memory.sessions.add(this);
    if (!this.#has('generation stands still') || memory.generation === 0) memory.generation += 1;
    const value = Welcome.fromPartial({
      ...{ certificate: memory.cloud.certificate.der, sessionKey: pair.publicKey, generation: memory.generation },
      ...{
        liveWindow: 262_144,
        heartbeatMs: this.#has('no heartbeat period') ? 0 : 10_000,
        clockMs: Date.UTC(2026, 0, 1),
      },
      capabilities: this.#has('all capabilities') ? hello.capabilities : [],
      holdings: this.#has('no holdings') ? [] : hello.logs.map(({ log }) => this.#holding(log)),
    });
    const payload = this.#payload({ $case: 'welcome', value });
    const signer = this.#has('another signs Welcome') ? SigningKey.generate() : memory.cloud.key;
    this.#send({ payload, signature: signer.sign(welcomeInput(this.#challenge, envelope.payload, payload)) });
  }

  #heartbeat({ number, log, backlogBytes }: Heartbeat): void {
    if (this.#log.length === 0) this.#log = Uint8Array.from(log);
    const times = this.#has('heartbeats answered twice') ? 2 : 1;
    for (let i = 0; i < times; i++) this.#say({ $case: 'heartbeatAnswer', value: { number, clockMs: 0 } });
    if (backlogBytes > 0 && !this.#has('grants nothing'))
      this.#say({ $case: 'credit', value: { backfillBytes: 16_384 } });
  }

  #batch(signed: Signed, lane: Lane, bytes: number, must: (c: boolean, m: string, code?: CloseCode) => void): void {
    must(signed.keyId.length === 0 || this.#has('key id taken'), 'a key id');
    must(lane !== Lane.CONTROL || this.#has('any lane'), 'lane');
    if (lane === Lane.BACKFILL) this.#backfill += bytes;
    must(this.#backfill <= MOST_CREDIT || this.#has('credit uncounted'), 'credit', CloseCode.EXHAUSTED);
    const lacksLog = signed.content[0] !== 0x0a;
    const implied = this.#has('log guessed') && this.#log.length === 0 ? (this.#hello?.bootId ?? NOTHING) : this.#log;
    must(!lacksLog || implied.length === 16, 'no log');
    const content = lacksLog ? Buffer.concat([Buffer.of(0x0a, 16), implied, signed.content]) : signed.content;
    const { key } = MeshCertificate.parse(this.#hello?.certificate ?? NOTHING);
    const proved = verifySigned(key, TAGS.BATCH, { ...signed, content, keyId: key.keyId });
    must(
      proved || this.#has('batches unverified') || (lacksLog && this.#has('log guessed')),
      'batch',
      CloseCode.UNAUTHENTIC,
    );
    const { log, firstFlush: first, readingCount: readings, chain } = unpackBatch(content).header;
    const { flushes } = this.#held(log);
    const known = flushes.get(first);
    if (known && !known.chain.equals(chain) && !this.#has('last one wins')) {
      this.#say({ $case: 'conflict', value: { log, range: { first, count: 1 } } });
      return;
    }
    if (known && this.#has('stores twice')) known.readings += readings;
    else if (!this.#has('acknowledges early')) flushes.set(first, { chain: Buffer.from(chain), readings });
    const ranges = [{ first, count: this.#has('acknowledges more') ? 2 : 1 }];
    this.#say({ $case: 'ack', value: { log, ranges, chain } });
  }

  #gap(signed: Signed, must: (c: boolean, m: string, code?: CloseCode) => void): void {
    const { key } = MeshCertificate.parse(this.#hello?.certificate ?? NOTHING);
    must(verifySigned(key, TAGS.GAP, signed) || this.#has('gaps unverified'), 'gap', CloseCode.UNAUTHENTIC);
    const { log, firstFlush: first } = Gap.decode(signed.content);
    if (!this.#has('gaps lost')) this.#held(log).gaps.add(first);
    this.#say({ $case: 'gapAck', value: { log, range: { first, count: 1 } } });
  }

  #held(log: Uint8Array): HeldLog {
    const known = this.memory.logs.get(hex(log)) ?? { flushes: new Map(), gaps: new Set<number>() };
    this.memory.logs.set(hex(log), known);
    return known;
  }

  #holding(log: Uint8Array) {
    const { flushes, gaps } = this.#held(log);
    if (this.#has('forgets at a cut')) flushes.delete(Math.max(...flushes.keys()));
    const ranges = (numbers: Iterable<number>) => {
      return RangeSet.from([...numbers].map((first) => ({ first, count: 1 }))).toProto();
    };
    const chain = flushes.get(Math.max(...flushes.keys()))?.chain ?? NOTHING;
    return { log, held: ranges(flushes.keys()), chain, gaps: ranges(gaps) };
  }

  #payload(message: Down): Uint8Array {
    return LinkDown.encode({ message }).finish();
  }

  #say(message: Down): void {
    const payload = this.#payload(message);
    this.#send({ payload, ...(this.#sealer?.seal(payload) ?? {}) });
  }

  #send(parts: Partial<Envelope>): void {
    const lane = this.#has('wrong lane') ? Lane.LIVE : Lane.CONTROL;
    this.wire.deliver(Envelope.encode(Envelope.fromPartial({ lane, ...parts })).finish());
  }
}
