// Frames of a session that is up, on a carrier that drops, repeats, reorders, changes and invents them. Whatever it does,
// the receiver takes a prefix of what the author has sent, and nothing else.
import { expect } from 'chai';
import { Envelope, Lane } from '../../../gen/occmesh/link/v1/link.js';
import { Batch } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { VerifyKey } from '../../../src/identity/keys.js';
import { signContent } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import {
  bareEnvelope,
  type DownMessage,
  decodeDown,
  decodeUp,
  encodeDown,
  encodeUp,
  frameEnvelope,
  peekLane,
  signedEnvelope,
  type UpMessage,
} from '../../../src/link/envelope.js';
import { FrameSealer, SessionKeyPair } from '../../../src/link/frames.js';
import { sessionId } from '../../../src/link/handshake.js';
import { settle } from '../../support/fake-clock.js';
import { type Direction, MemoryCarrier, type Passing } from '../../support/memory-pipe.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { type Cast, cast, connect, desiredState, flipOneBit, type Link } from './fixtures.js';

/** What the first messages of a session are: after these come frames. */
const FIRST: Readonly<Record<Direction, number>> = { up: 2, down: 3 };
const MANY = 8;

/** Takes every signature for good. */
class Gullible extends VerifyKey {
  override verify(): boolean {
    return true;
  }
}

/**
 * A carrier between two that verify nothing: it puts a session key of its own in the place of both of theirs, and then
 * seals every frame anew, with another payload if it likes.
 */
function meddling(change: (message: Passing, payload: Uint8Array) => Uint8Array) {
  const own = new SessionKeyPair();
  let [challenge, hello, changed]: Uint8Array[] = [];
  let hubKey: Uint8Array = new Uint8Array(0);
  let sealers: Readonly<Record<Direction, FrameSealer>> | undefined;
  return (message: Passing): readonly Uint8Array[] => {
    const { payload, signature, counter } = Envelope.decode(message.bytes);
    if (counter > 0) {
      const { counter: next, mac } = sealers?.[message.direction].seal(change(message, payload)) ?? never();
      return [frameEnvelope(change(message, payload), next, mac)];
    }
    if (message.direction === 'up') {
      const said = decodeUp(payload);
      if (said.$case !== 'hello') return [message.bytes];
      hubKey = said.value.sessionKey;
      hello = payload;
      changed = encodeUp({ $case: 'hello', value: { ...said.value, sessionKey: own.publicKey } });
      return [signedEnvelope(changed, signature)];
    }
    const said = decodeDown(payload);
    if (said.$case === 'challenge') challenge = payload;
    if (said.$case !== 'welcome' || !challenge || !hello || !changed) return [message.bytes];
    sealers = {
      up: new FrameSealer(own.agree(said.value.sessionKey, sessionId(challenge, changed)).U),
      down: new FrameSealer(own.agree(hubKey, sessionId(challenge, hello)).D),
    };
    return [
      signedEnvelope(encodeDown({ $case: 'welcome', value: { ...said.value, sessionKey: own.publicKey } }), signature),
    ];
  };
}

function never(): never {
  throw new Error('a frame before the welcome');
}

describe(`link: frames (seed ${testSeed})`, () => {
  let who: Cast;
  before(async () => {
    who = await cast();
  });
  const random = seededRandom(testSeed);

  const credit = (n: number): DownMessage => ({ $case: 'credit', value: { backfillBytes: n } });
  const result = (n: number): UpMessage => ({
    $case: 'result',
    value: { commandId: n, outcome: 1, message: '', state: 1 },
  });

  /** Sends frames 1…MANY both ways. */
  const talk = async ({ cloud, hub }: Link) => {
    for (let n = 1; n <= MANY; n++) {
      cloud.send(credit(n));
      hub.send(result(n));
    }
    await settle();
  };

  const taken = ({ member, host }: Link): Readonly<Record<Direction, number[]>> => ({
    down: member.received_.flatMap((m) => (m.$case === 'credit' ? [m.value.backfillBytes] : [])),
    up: host.received_.flatMap((m) => (m.$case === 'result' ? [m.value.commandId] : [])),
  });

  const expectPrefix = (numbers: readonly number[], length: number) => {
    expect(numbers).to.deep.equal(Array.from({ length }, (_, i) => i + 1));
  };

  const codeTold = ({ carrier }: Link, direction: Direction) =>
    (direction === 'down' ? carrier.endings.cloud : carrier.endings.hub)?.code;

  const session = async (hook?: (message: Passing) => readonly Uint8Array[]): Promise<Link> => {
    const link = connect(who, { random, carrier: new MemoryCarrier() });
    await settle();
    expect(link.hub.state).to.equal('up');
    if (hook) link.carrier.hook = hook;
    return link;
  };

  for (const direction of ['up', 'down'] as const) {
    const victim = FIRST[direction] + 3;
    const attacks: readonly (readonly [string, (held: Uint8Array[]) => (message: Passing) => readonly Uint8Array[]])[] =
      [
        [
          'dropped',
          () =>
            ({ number, bytes }) =>
              number === victim ? [] : [bytes],
        ],
        [
          'repeated',
          () =>
            ({ number, bytes }) =>
              number === victim - 1 ? [bytes, bytes] : [bytes],
        ],
        [
          'reordered',
          (held) =>
            ({ number, bytes }) => {
              if (number !== victim) return number === victim + 1 ? [bytes, ...held] : [bytes];
              held.push(bytes);
              return [];
            },
        ],
        [
          'replaced by an earlier one',
          (held) =>
            ({ number, bytes }) => {
              held.push(bytes);
              return number === victim ? [held[0] ?? bytes] : [bytes];
            },
        ],
      ];
    for (const [what, attack] of attacks) {
      it(`end the session when one going ${direction} is ${what}`, async () => {
        const hook = attack([]);
        const link = await session((message) => (message.direction === direction ? hook(message) : [message.bytes]));
        await talk(link);
        expectPrefix(taken(link)[direction], 3);
        expect(codeTold(link, direction)).to.equal(CloseCode.UNAUTHENTIC);
        expect([link.hub.state, link.cloud.state]).to.deep.equal(['ended', 'ended']);
        expect(link.clock.armed).to.equal(0);
      });
    }

    it(`going ${direction} are refused when any byte of payload, counter or MAC is changed`, async () => {
      const sample = await session();
      await talk(sample);
      const length = sample.carrier.of(direction)[victim]?.length ?? 0;
      sample.carrier.cut();
      expect(length).to.be.greaterThan(24);
      for (let at = 2; at < length; at += 1 + Math.floor(random.uniform() * 3)) {
        const link = await session((message) => {
          if (message.direction === direction && message.number === victim) {
            flipOneBit(message.bytes, at, random);
          }
          return [message.bytes];
        });
        await talk(link);
        expectPrefix(taken(link)[direction], 3);
        expect(codeTold(link, direction), `byte ${at}`).to.be.oneOf([CloseCode.UNAUTHENTIC, CloseCode.PROTOCOL]);
      }
    });

    it(`going ${direction} could be changed if nobody verified the handshake (negative control)`, async () => {
      const forged = direction === 'up' ? encodeUp(result(666)) : encodeDown(credit(666));
      const meddler = meddling((message, payload) => {
        const isFrame = message.direction === direction && message.number >= FIRST[direction];
        return isFrame ? forged : payload;
      });
      const link = connect(who, { random, carrier: new MemoryCarrier(meddler) });
      link.host.verifyHub = () => new Gullible(who.hub.key.publicKey.keyObject);
      link.member.verifyCloud = () => new Gullible(who.cloud.key.publicKey.keyObject);
      await settle();
      expect([link.hub.state, link.cloud.state]).to.deep.equal(['up', 'up']);
      await talk(link);
      expect(taken(link)[direction]).to.deep.equal(Array.from({ length: MANY }, () => 666));
      link.carrier.cut();
    });

    it(`going ${direction} are refused when they come from another session of the same two`, async () => {
      const other = await session();
      await talk(other);
      const theirs = other.carrier.of(direction);
      other.carrier.cut();
      const link = await session((message) => [
        message.direction === direction ? (theirs[message.number] ?? message.bytes) : message.bytes,
      ]);
      await talk(link);
      expectPrefix(taken(link)[direction], 0);
      expect(codeTold(link, direction)).to.equal(CloseCode.UNAUTHENTIC);
    });
  }

  it('do not count in the other direction', async () => {
    // Payloads of the two directions share field numbers: 5 is a Result going up and a HeartbeatAnswer going down.
    const link = await session();
    link.carrier.hook = (message) => (message.direction === 'up' ? [] : [message.bytes]);
    link.hub.send(result(1));
    const up = link.carrier.of('up').at(-1) ?? new Uint8Array(0);
    link.carrier.inject('down', up);
    await settle();
    expect(codeTold(link, 'down')).to.equal(CloseCode.UNAUTHENTIC);
    expectPrefix(taken(link).down, 0);
  });

  it('of the cloud cannot be invented: acknowledgements, credit, commands, advice, conflicts', async () => {
    const log = Buffer.alloc(16);
    const range = { first: 0, count: 1 };
    const inventions: readonly DownMessage[] = [
      { $case: 'ack', value: { log, ranges: [range], chain: log } },
      credit(1e6),
      { $case: 'heartbeatAnswer', value: { number: 1e6, clockMs: 0 } },
      { $case: 'command', value: { id: 1, action: { $case: 'runSensor', value: { sensor: 1 } } } },
      { $case: 'advice', value: { reconnectWithinMs: 0, returnToConnector: true } },
      { $case: 'conflict', value: { log, range } },
      { $case: 'digestAnswer', value: { log, range, digests: [] } },
      { $case: 'gapAck', value: { log, range } },
    ];
    for (const invention of inventions) {
      for (const forge of [
        (payload: Uint8Array) => bareEnvelope(Lane.CONTROL, payload),
        (payload: Uint8Array) => frameEnvelope(payload, 2, new Uint8Array(0)),
        (payload: Uint8Array) => frameEnvelope(payload, 2, who.connector.key.sign(payload).subarray(0, 16)),
        // Also not by the cloud's own key: a signature is no MAC.
        (payload: Uint8Array) => frameEnvelope(payload, 2, who.cloud.key.sign(payload)),
        (payload: Uint8Array) => signedEnvelope(payload, who.cloud.key.sign(payload)),
      ]) {
        const link = await session();
        const before = link.member.received_.length;
        link.carrier.inject('down', forge(encodeDown(invention)));
        await settle();
        expect(link.member.received_, invention.$case).to.have.length(before);
        expect(codeTold(link, 'down')).to.equal(CloseCode.UNAUTHENTIC);
      }
    }
  });

  it('with a lasting signature need none for the session, and carry no counter', async () => {
    const link = await session();
    const batch = signContent(
      who.hub.key,
      TAGS.BATCH,
      Batch.encode(Batch.fromPartial({ log: Buffer.alloc(16) })).finish(),
    );
    const bytes = link.hub.sendContent({ $case: 'batch', value: batch }, Lane.LIVE);
    link.cloud.sendDesiredState(desiredState(who, 1));
    await talk(link);
    expect(link.host.received_.some(({ $case }) => $case === 'batch')).to.equal(true);
    expect(link.member.received_.some(({ $case }) => $case === 'desiredState')).to.equal(true);
    expectPrefix(taken(link).up, MANY);
    const travelled = link.carrier.of('up').find((envelope) => peekLane(envelope) === Lane.LIVE);
    expect(travelled?.length).to.equal(bytes);
    const { counter, signature, mac } = Envelope.decode(travelled ?? new Uint8Array(0));
    expect([counter, signature.length, mac.length]).to.deep.equal([0, 0, 0]);
    link.carrier.cut();
    await settle();
    expect(link.hub.sendContent({ $case: 'batch', value: batch }, Lane.LIVE)).to.equal(0);
  });

  it('wait for those before them, also when a carrier delivers from inside of send', async () => {
    const link = await session();
    const order: number[] = [];
    let go: () => void = () => undefined;
    link.member.handle = (message) => {
      if (message.$case !== 'credit') return undefined;
      const n = message.value.backfillBytes;
      order.push(n);
      // While this one is handled, the carrier has more.
      if (n === 1) return new Promise<void>((resolve) => (go = resolve));
      order.push(-n);
      return undefined;
    };
    for (let n = 1; n <= 3; n++) link.cloud.send(credit(n));
    await settle();
    expect(order).to.deep.equal([1]);
    go();
    await settle();
    expect(order).to.deep.equal([1, 2, -2, 3, -3]);
    link.carrier.cut();
  });

  it('sent too far ahead end the session', async () => {
    const link = await session();
    link.member.handle = () => new Promise(() => undefined);
    link.cloud.send(credit(1));
    const content = Buffer.alloc(900_000);
    for (let i = 0; i < 5; i++) {
      link.cloud.sendDesiredState({
        signed: { content, signature: Buffer.alloc(0), keyId: Buffer.alloc(8) },
        certificate: Buffer.alloc(0),
      });
    }
    await settle();
    expect(codeTold(link, 'down')).to.equal(CloseCode.EXHAUSTED);
  });

  it('show carriers their lane, and those that hide it wait longest', () => {
    const payload = encodeUp(result(1));
    for (const lane of [Lane.CONTROL, Lane.LIVE, Lane.BACKFILL]) {
      expect(peekLane(bareEnvelope(lane, payload))).to.equal(lane);
    }
    expect(peekLane(bareEnvelope(Lane.UNSPECIFIED, payload))).to.equal(Lane.BACKFILL);
    expect(peekLane(Uint8Array.of(0x08, 0x63))).to.equal(Lane.BACKFILL);
    expect(peekLane(new Uint8Array(0))).to.equal(Lane.BACKFILL);
  });
});
