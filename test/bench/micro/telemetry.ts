// What becomes of readings on their way: columns, digests, signatures, and what they travel in.
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { type Frame, TrunkFrames } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { signContent, verifySigned } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import { bareEnvelope, decodeEnvelope, decodeUp, encodeUp } from '../../../src/link/envelope.js';
import { encodeFlushes, packBatch, unpackBatch } from '../../../src/telemetry/batch.js';
import { chainNext } from '../../../src/telemetry/chain.js';
import { FrameQueue, type MessageSink } from '../../../src/trunk/frame-queue.js';
import { seededRandom } from '../../support/seeded-random.js';
import { Walk } from '../readings.js';
import type { Operation } from './operation.js';

const SENSORS = 20;
const READINGS = [20, 100, 500];
const FRAMES = 100;
const ID = Buffer.alloc(16, 1);

/** A flush of readings as steady sensors make them. */
export const flushOf = (count: number) => ({
  number: 0,
  readings: new Walk(SENSORS, count, 1_750_000_000_000, seededRandom(count)).take(count),
});

const batchOf = (count: number): Uint8Array => packBatch({ log: ID, firstFlush: 0, chain: ID }, [flushOf(count)]);

export function ofColumns(): Operation[] {
  const perReading = (figure: string, prepare: (count: number) => () => unknown) =>
    READINGS.map((count) => ({ figure, at: `${count} readings, per reading`, things: count, run: prepare(count) }));
  return [
    ...perReading('encode columns', (count) => {
      const flush = flushOf(count);
      return () => encodeFlushes([flush], 0);
    }),
    ...perReading('decode columns', (count) => {
      const batch = batchOf(count);
      return () => unpackBatch(batch).table();
    }),
    ...perReading('decode columns into readings', (count) => {
      const batch = batchOf(count);
      return () => unpackBatch(batch).flushes();
    }),
    ...perReading('running digest', (count) => {
      const { readings } = flushOf(count);
      return () => chainNext(ID, readings);
    }),
  ];
}

export function ofCarriers(): Operation[] {
  const at = 'batch of 100 readings';
  const content = batchOf(100);
  const key = SigningKey.generate();
  const signed = signContent(key, TAGS.BATCH, content);
  const message = { $case: 'batch', value: signed } as const;
  const envelope = bareEnvelope(Lane.LIVE, encodeUp(message));
  const frames = Array.from({ length: FRAMES }, (_, i): Frame => {
    return { channel: i + 1, body: { $case: 'envelope', value: envelope } };
  });
  const carried = TrunkFrames.encode({ frames }).finish();
  return [
    { figure: 'sign', at, things: 1, run: () => signContent(key, TAGS.BATCH, content) },
    { figure: 'verify', at, things: 1, run: () => verifySigned(key.publicKey, TAGS.BATCH, signed) },
    { figure: 'encode an envelope', at, things: 1, run: () => bareEnvelope(Lane.LIVE, encodeUp(message)) },
    { figure: 'decode an envelope', at, things: 1, run: () => decodeUp(decodeEnvelope(envelope).payload) },
    { figure: 'send a frame in a trunk', at, things: FRAMES, run: () => sendAll(frames, envelope.length) },
    { figure: 'decode a frame of a trunk', at, things: FRAMES, run: () => TrunkFrames.decode(carried) },
  ];
}

const nowhere: MessageSink = { write: () => undefined, bufferedBytes: 0, drained: async () => undefined };

function sendAll(frames: readonly Frame[], size: number): void {
  const queue = new FrameQueue(nowhere);
  for (const frame of frames) queue.push(frame, Lane.LIVE, size);
  queue.close();
}
