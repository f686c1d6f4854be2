// The sending half of a trunk: order of lanes, coalescing, backpressure, and that nobody waits for somebody else.
import { expect } from 'chai';
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { type Frame, TrunkFrames } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { FrameQueue, MESSAGE_BYTES, type MessageSink } from '../../../src/trunk/frame-queue.js';
import { settle } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

class Sink implements MessageSink {
  readonly messages: Frame[][] = [];
  readonly sizes: number[] = [];
  bufferedBytes = 0;
  /** What is written stays buffered. */
  isStuck = false;
  waits = 0;
  #wake: (() => void)[] = [];

  write(message: Uint8Array): void {
    this.messages.push(TrunkFrames.decode(message).frames);
    this.sizes.push(message.length);
    if (this.isStuck) this.bufferedBytes += message.length;
  }

  drained(): Promise<void> {
    this.waits += 1;
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  drain(): void {
    this.bufferedBytes = 0;
    for (const wake of this.#wake.splice(0)) wake();
  }

  get frames(): Frame[] {
    return this.messages.flat();
  }
}

const frame = (channel: number, bytes = 10): Frame => ({
  channel,
  body: { $case: 'envelope', value: new Uint8Array(bytes) },
});

const channelsOf = (frames: readonly Frame[]): number[] => frames.map(({ channel }) => channel);

describe(`trunk: frame queue (seed ${testSeed})`, () => {
  it('sends what one turn brings in one message, CONTROL before LIVE before BACKFILL', async () => {
    const sink = new Sink();
    const queue = new FrameQueue(sink);
    for (const [channel, lane] of [
      [1, Lane.BACKFILL],
      [2, Lane.LIVE],
      [3, Lane.CONTROL],
      [4, Lane.BACKFILL],
      [5, Lane.LIVE],
      [6, Lane.CONTROL],
      [7, Lane.UNSPECIFIED],
    ] as const) {
      queue.push(frame(channel), lane, 10);
    }
    expect(sink.messages).to.have.length(0);
    await settle();
    expect(sink.messages.map(channelsOf)).to.deep.equal([[3, 6, 2, 5, 1, 4, 7]]);
    expect(queue.counts).to.deep.equal({ messages: 1, frames: 7 });
    expect(queue.queuedBytes).to.equal(0);
  });

  it('makes messages of about 64 KiB, with no more than one frame beyond', async () => {
    const sink = new Sink();
    const queue = new FrameQueue(sink);
    for (let i = 0; i < 100; i++) queue.push(frame(i + 1, 10_000), Lane.LIVE, 10_000);
    queue.push(frame(200, 900_000), Lane.CONTROL, 900_000);
    await settle();
    expect(sink.frames).to.have.length(101);
    expect(sink.frames[0]?.channel).to.equal(200);
    for (const size of sink.sizes.slice(1)) expect(size).to.be.at.most(MESSAGE_BYTES + 10_100);
    expect(sink.sizes.length).to.be.at.most(17);
  });

  it('keeps back what the transport does not take, so that live overtakes any backlog', async () => {
    const sink = new Sink();
    sink.isStuck = true;
    let stalls = 0;
    const queue = new FrameQueue(sink, () => stalls++);
    for (let i = 0; i < 100; i++) queue.push(frame(1, 50_000), Lane.BACKFILL, 50_000);
    await settle();
    expect(sink.bufferedBytes).to.be.within(256 * 1024, 256 * 1024 + 130_000);
    const sent = sink.frames.length;
    queue.push(frame(2), Lane.LIVE, 10);
    queue.push(frame(3), Lane.CONTROL, 10);
    await settle();
    expect(sink.frames).to.have.length(sent);
    expect(queue.queuedBytes).to.be.greaterThan(4_000_000);
    expect(stalls, 'one wait, whatever is pushed meanwhile').to.equal(1);
    sink.drain();
    await settle();
    expect(channelsOf(sink.frames.slice(sent, sent + 3))).to.deep.equal([3, 2, 1]);
    sink.isStuck = false;
    sink.drain();
    await settle();
    expect(queue.queuedBytes).to.equal(0);
    expect(sink.frames).to.have.length(102);
  });

  it('lets the event loop turn while a transport that is gone says "drained" and takes nothing', async () => {
    const sink = new Sink();
    sink.bufferedBytes = 1e9;
    sink.drained = async () => {
      sink.waits += 1;
    };
    const queue = new FrameQueue(sink);
    queue.push(frame(1), Lane.LIVE, 10);
    // With a loop of promises this would never resolve.
    await settle();
    expect(sink.waits).to.be.greaterThan(1);
    expect(sink.messages).to.have.length(0);
    queue.close();
    await settle();
    const { waits } = sink;
    await settle();
    expect(sink.waits, 'and ends with close').to.equal(waits);
  });

  it('sends what waits when it is closed, as far as the transport takes it, and nothing later', async () => {
    const sink = new Sink();
    const queue = new FrameQueue(sink);
    queue.push(frame(1), Lane.BACKFILL, 10);
    queue.push(frame(2), Lane.CONTROL, 10);
    queue.close();
    expect(channelsOf(sink.frames)).to.deep.equal([2, 1]);
    queue.push(frame(3), Lane.CONTROL, 10);
    await settle();
    expect(sink.frames).to.have.length(2);

    const stuck = new Sink();
    stuck.isStuck = true;
    const other = new FrameQueue(stuck);
    for (let i = 0; i < 1_000; i++) other.push(frame(1, 10_000), Lane.LIVE, 10_000);
    other.close();
    expect(stuck.bufferedBytes).to.be.within(256 * 1024, 256 * 1024 + MESSAGE_BYTES + 11_000);
  });

  it('counts what waits of each owner, and down to nothing', async () => {
    const sink = new Sink();
    sink.bufferedBytes = 1e9;
    const queue = new FrameQueue(sink);
    const owners = [{ queuedBytes: 0 }, { queuedBytes: 0 }];
    for (let i = 0; i < 10; i++) queue.push(frame(i % 2), Lane.LIVE, 100, owners[i % 2]);
    expect(owners[0]?.queuedBytes).to.be.greaterThan(500);
    expect(owners.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0)).to.equal(queue.queuedBytes);
    sink.drain();
    await settle();
    expect(owners.map(({ queuedBytes }) => queuedBytes)).to.deep.equal([0, 0]);
  });

  it('keeps the order inside each lane of each of 100 channels, whatever the transport does', async () => {
    const random = seededRandom(testSeed);
    const sink = new Sink();
    sink.isStuck = true;
    const queue = new FrameQueue(sink);
    const lanes = [Lane.CONTROL, Lane.LIVE, Lane.BACKFILL] as const;
    const pushed = new Map<string, number>();
    for (let i = 0; i < 5_000; i++) {
      const channel = 1 + Math.floor(random.uniform() * 100);
      const lane = lanes[Math.floor(random.uniform() * 3)] ?? Lane.LIVE;
      const key = `${channel}/${lane}`;
      const number = pushed.get(key) ?? 0;
      pushed.set(key, number + 1);
      const value = Buffer.alloc(8 + Math.floor(random.uniform() * 3_000));
      value.writeUInt32BE(lane);
      value.writeUInt32BE(number, 4);
      queue.push({ channel, body: { $case: 'envelope', value } }, lane, value.length);
      if (random.uniform() < 0.02) await settle();
      if (random.uniform() < 0.02) sink.drain();
    }
    sink.isStuck = false;
    sink.drain();
    await settle();
    const seen = new Map<string, number>();
    for (const { channel, body } of sink.frames) {
      if (body?.$case !== 'envelope') throw new Error('not an envelope');
      const value = Buffer.from(body.value);
      const key = `${channel}/${value.readUInt32BE()}`;
      expect(value.readUInt32BE(4), key).to.equal(seen.get(key) ?? 0);
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    expect(seen).to.deep.equal(new Map([...seen].map(([key]) => [key, pushed.get(key) ?? -1])));
    expect([...pushed.values()].reduce((a, b) => a + b, 0)).to.equal(5_000);
    expect(sink.frames).to.have.length(5_000);
  });
});
