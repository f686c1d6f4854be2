// Rules of single frames: counters and MACs, what is not understood, what is too large.
import { LinkUp } from '../../../gen/occmesh/link/v1/link.js';
import type { Bench } from '../bench.js';
import { Broken, type Rule, rule } from '../rule.js';
import { Session, type Tampering } from '../session.js';
import { macOf } from '../wire.js';
import { flipped } from './handshake.js';

/** A heartbeat that must not be answered, after one that is. */
const unanswered =
  (tampering: Tampering, ...reasons: string[]) =>
  async (bench: Bench): Promise<void> => {
    const session = await Session.up(bench);
    session.beat(1);
    await session.hear('heartbeatAnswer');
    session.beat(2, {}, tampering);
    await session.endsWith(reasons, ['heartbeatAnswer']);
  };

/** Watched in every session of the run; judged at its end. */
const watched = (id: string, from: string, promise: string): Rule =>
  rule(id, from, promise, async ({ seenBroken }) => {
    const seen = seenBroken.get(id);
    if (seen !== undefined) throw new Broken(seen);
  });

const UNKNOWN_FIELD = 1_000;
/** A field of that number with so many bytes, less than 2^21. */
function unknownField(length: number): Uint8Array {
  const tag = UNKNOWN_FIELD * 8 + 2;
  const varint = (n: number) => [(n & 0x7f) | 0x80, ((n >> 7) & 0x7f) | 0x80, n >> 14];
  return Buffer.concat([Uint8Array.from([...varint(tag), ...varint(length)]), Buffer.alloc(length)]);
}

const heartbeat = ({ clock }: Bench): Uint8Array =>
  LinkUp.encode(
    LinkUp.fromPartial({ message: { $case: 'heartbeat', value: { number: 1, clockMs: clock.now() } } }),
  ).finish();

export const FRAMES: readonly Rule[] = [
  rule(
    'link.heartbeat.answered',
    'link.v1.HeartbeatAnswer.number',
    'Each Heartbeat is answered once, in order, with its number.',
    async (bench) => {
      const session = await Session.up(bench);
      for (const number of [1, 2, 2, 3]) session.beat(number);
      for (const number of [1, 2, 2, 3]) {
        const { value } = await session.hear('heartbeatAnswer');
        if (value.number !== number) throw new Broken(`${value.number} was answered, ${number} was due`);
      }
      session.cut();
    },
  ),
  rule(
    'link.frame.mac',
    'link.v1.Envelope.mac',
    'A frame whose MAC does not verify ends the session, and is not answered.',
    unanswered({ mac: flipped }, 'UNAUTHENTIC'),
  ),
  rule(
    'link.frame.no-mac',
    'link.v1.Envelope.mac',
    'A frame without a MAC ends the session.',
    unanswered({ mac: () => new Uint8Array(0) }, 'UNAUTHENTIC'),
  ),
  rule(
    'link.frame.other-direction',
    'link.v1.Envelope.mac',
    'A MAC under another key than that of its direction ends the session.',
    unanswered({ mac: () => macOf(new Uint8Array(32), 2, new Uint8Array(0)) }, 'UNAUTHENTIC'),
  ),
  rule(
    'link.frame.hole',
    'link.v1.Envelope.counter',
    'A hole in the counter ends the session.',
    unanswered({ counter: (due) => due + 1 }, 'UNAUTHENTIC'),
  ),
  rule(
    'link.frame.replay',
    'link.v1.Envelope.counter',
    'A frame that comes twice ends the session.',
    unanswered({ counter: (due) => due - 1 }, 'UNAUTHENTIC'),
  ),
  rule(
    'link.frame.unknown-field',
    'link.v1.LinkUp',
    'Fields that are not known are ignored, also in an envelope.',
    async (bench) => {
      const session = await Session.up(bench);
      session.sayPayload(Buffer.concat([heartbeat(bench), unknownField(0)]));
      await session.hear('heartbeatAnswer');
      session.cut();
    },
  ),
  rule(
    'link.frame.unknown-kind',
    'link.v1.LinkUp',
    'A kind of message that is not known ends the session.',
    async (bench) => {
      const session = await Session.up(bench);
      session.sayPayload(unknownField(0));
      await session.endsWith(['PROTOCOL']);
    },
  ),
  rule('link.envelope.garbage', 'link.v1.Envelope', 'What does not parse ends the session.', async (bench) => {
    const session = await Session.up(bench);
    session.raw(Buffer.alloc(64, 0xff));
    await session.endsWith(['PROTOCOL']);
  }),
  rule(
    'link.envelope.garbage-payload',
    'link.v1.Envelope.payload',
    'A payload that does not parse ends the session.',
    async (bench) => {
      const session = await Session.up(bench);
      session.sayPayload(Buffer.alloc(64, 0xff));
      await session.endsWith(['PROTOCOL']);
    },
  ),
  rule('link.envelope.size', 'link.v1.Envelope', 'An envelope of more than 1 MiB ends the session.', async (bench) => {
    const session = await Session.up(bench);
    // Valid in all else: only its size is wrong.
    session.sayPayload(Buffer.concat([heartbeat(bench), unknownField(1 << 20)]));
    await session.endsWith(['PROTOCOL', 'EXHAUSTED', 'contract.exhausted'], ['heartbeatAnswer']);
  }),
];

/** To be judged when all others have been. */
export const WATCHED: readonly Rule[] = [
  watched('link.down.lane', 'link.v1.Lane.LANE_CONTROL', 'Whatever the cloud says travels in CONTROL.'),
  watched(
    'link.down.counter',
    'link.v1.Envelope.counter',
    'Frames of the cloud are counted from 1 without holes; Challenge, Welcome and desired state are not.',
  ),
  watched('link.down.mac', 'link.v1.Envelope.mac', 'Each counted frame of the cloud has a MAC that verifies.'),
  watched(
    'link.others',
    'link.v1.LinkService.Link',
    'What one hub does wrong ends its own session only: another’s is answered all the while.',
  ),
];
