// Streams under pressure: who does not read costs a bounded amount of memory, who goes away is noticed, and every end
// carries its reason.
import { expect } from 'chai';
import { HealthCheckResponse_ServingStatus, HealthService } from '../../gen/grpc/health/v1/health.js';
import { EnrollmentServiceService } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { type ByteStream, HIGH_MARK, LOW_MARK } from '../../src/contract/byte-stream.js';
import { ApiFault, ContractFault } from '../../src/contract/fault.js';
import type { ByteStreamFunction, CallContext } from '../../src/contract/handlers.js';
import type { ListenerModules } from '../../src/contract/listener.js';
import { rawMethod } from '../../src/contract/service.js';
import { seconds } from '../../src/kernel/duration.js';
import { FakeClock } from '../support/fake-clock.js';
import { Edge } from './edge.js';
import { faultOf } from './expect-fault.js';

const KIB = 1024;
const SMALL = { stream: 64 * KIB, connection: 64 * KIB };

async function linkEdge(link: ByteStreamFunction, modules: Partial<ListenerModules> = {}): Promise<Edge> {
  const edge = await Edge.make({ limits: { windows: SMALL } }, modules);
  edge.listener.add(LinkServiceService, { link });
  await edge.listener.start();
  return edge;
}

const open = (edge: Edge) => edge.channel('hub', { windowBytes: 64 * KIB }).byteStream(LinkServiceService.link);

/** Sends until `bytes` are through, as a sender should; the most that ever waited. */
async function send(stream: ByteStream, bytes: number, message = Buffer.alloc(16 * KIB)): Promise<number> {
  let most = 0;
  for (let sent = 0; sent < bytes; sent += message.length) {
    const room = stream.write(message);
    most = Math.max(most, stream.bufferedBytes);
    if (!room) await stream.drained();
  }
  return most;
}

describe('byte streams', () => {
  it('bring every message in order, both ways, byte for byte', async () => {
    await using edge = await linkEdge(async (stream) => {
      for await (const message of stream) stream.write(message);
    });
    const stream = open(edge);
    const messages = [0, 1, 5, 70_000, 16_384].map((length, index) => Buffer.alloc(length, index + 1));
    for (const message of messages) stream.write(message);
    stream.end();
    const back: Buffer[] = [];
    for await (const message of stream) back.push(message);
    expect(back.map((message) => message.toString('hex'))).to.deep.equal(messages.map((m) => m.toString('hex')));
    expect(await stream.closed).to.equal(undefined);
  });

  it('count bytes, and stop a sender whose reader is slow, on both sides', async () => {
    const total = 4 * 1024 * KIB;
    let mostDown = 0;
    let serverRead = 0;
    let letServerRead: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      letServerRead = resolve;
    });
    await using edge = await linkEdge(async (stream) => {
      mostDown = await send(stream, total);
      await gate;
      for await (const message of stream) serverRead += message.length;
    });
    const stream = open(edge);
    // The client reads nothing yet: the server must get stuck soon.
    const sending = send(stream, total);
    let read = 0;
    for await (const message of stream) {
      read += message.length;
      if (read === total) letServerRead();
      if (read === total) break;
    }
    const mostUp = await sending;
    stream.end();
    expect(await stream.closed).to.equal(undefined);
    expect(serverRead).to.equal(total);
    for (const most of [mostDown, mostUp]) {
      expect(most).to.be.at.least(LOW_MARK);
      expect(most).to.be.below(HIGH_MARK + 16 * KIB + 1);
    }
  });

  it('negative control: whoever ignores write() does pile up', async () => {
    await using edge = await linkEdge(async (_stream, { signal }) => untilAborted(signal));
    const stream = open(edge);
    for (let i = 0; i < 200; i++) stream.write(Buffer.alloc(16 * KIB));
    expect(stream.bufferedBytes).to.be.greaterThan(10 * HIGH_MARK);
    stream.close(new Error('enough'));
    expect((await stream.closed)?.code).to.equal('contract.cancelled');
    expect(stream.bufferedBytes).to.equal(0);
    await stream.drained();
    expect(stream.write(Buffer.alloc(1))).to.equal(false);
  });

  it('deliver by callback, and stop while paused', async () => {
    await using edge = await linkEdge(async (stream) => {
      for (let i = 0; i < 100; i++) stream.write(Buffer.from([i]));
    });
    const stream = open(edge);
    const seen: number[] = [];
    await stream.forEach((message) => {
      seen.push(message[0] ?? -1);
      if (seen.length !== 10) return;
      stream.pause();
      setImmediate(() => {
        seen.push(-10);
        stream.resume();
      });
    });
    const expected = [...Array(100).keys()];
    expected.splice(10, 0, -10);
    expect(seen).to.deep.equal(expected);
  });

  it('end a stream whose callback throws, instead of the process', async () => {
    await using edge = await linkEdge((stream) =>
      stream.forEach(() => {
        throw new ApiFault('api.precondition', 'not this');
      }),
    );
    const stream = open(edge);
    stream.write(Buffer.from('x'));
    const fault = await stream.closed;
    expect(fault?.code).to.equal('contract.precondition');
    expect(fault?.message).to.equal('not this');
  });

  it('give the fault of a handler to reader and sender, with its reason and wait', async () => {
    await using edge = await linkEdge(async (stream) => {
      stream.write(Buffer.from('first'));
      throw new ContractFault('contract.exhausted', 'too many', {
        reason: 'CLOSE_CODE_EXHAUSTED',
        retryAfter: seconds(7),
      });
    });
    const stream = open(edge);
    const seen: string[] = [];
    const reading = async () => {
      for await (const message of stream) seen.push(message.toString());
    };
    const fault = await faultOf(reading());
    expect(seen).to.deep.equal(['first']);
    expect(fault).to.include({ code: 'contract.exhausted', message: 'too many', reason: 'CLOSE_CODE_EXHAUSTED' });
    expect(fault.retryAfter).to.equal(7_000);
    expect(await stream.closed).to.equal(fault);
  });

  it('can be closed with a reason by somebody who is not the handler', async () => {
    let served: ByteStream | undefined;
    let handlerEnded: (thrown: unknown) => void = () => {};
    const ended = new Promise<unknown>((resolve) => {
      handlerEnded = resolve;
    });
    await using edge = await linkEdge(async (stream) => {
      served = stream;
      stream.write(Buffer.from('ready'));
      try {
        for await (const _ of stream);
      } catch (thrown) {
        handlerEnded(thrown);
        throw thrown;
      }
    });
    const stream = open(edge);
    for await (const _ of stream) break;
    const why = new ContractFault('contract.aborted', 'a newer stream came', { reason: 'CLOSE_CODE_SUPERSEDED' });
    served?.close(why);
    expect(await stream.closed).to.include({ code: 'contract.aborted', reason: 'CLOSE_CODE_SUPERSEDED' });
    expect(await ended).to.equal(why);
  });

  it('tell the handler when the client is gone', async () => {
    let context: CallContext | undefined;
    let outcome: (value: unknown) => void = () => {};
    const ended = new Promise<unknown>((resolve) => {
      outcome = resolve;
    });
    await using edge = await linkEdge(async (stream, given) => {
      context = given;
      stream.write(Buffer.from('ready'));
      try {
        for await (const _ of stream);
        outcome('half-closed');
      } catch (thrown) {
        outcome(thrown);
      }
      outcome(await stream.closed);
    });
    const stream = open(edge);
    for await (const _ of stream) break;
    stream.close(new Error('going'));
    expect(await ended)
      .to.be.instanceOf(ContractFault)
      .with.property('code', 'contract.cancelled');
    expect(context?.signal.aborted).to.equal(true);
    expect(context?.peer).to.match(/^127\.0\.0\.1:\d+$/);
  });

  it('get rid of a caller who does not even read why', async () => {
    const clock = new FakeClock();
    let over: Promise<unknown> = Promise.resolve();
    let refuse: () => void = () => {};
    const refused = new Promise<void>((resolve) => {
      refuse = resolve;
    });
    await using edge = await linkEdge(
      async (stream) => {
        over = stream.closed;
        for (let i = 0; i < 60; i++) stream.write(Buffer.alloc(16 * KIB));
        setImmediate(refuse);
        throw new ContractFault('contract.exhausted', 'too slow');
      },
      { clock },
    );
    const stream = open(edge);
    await refused;
    await clock.untilArmed();
    await clock.advance(seconds(5));
    await over;
    expect(clock.armed).to.equal(0);
    // The reset is all that such a caller gets.
    expect((await stream.closed)?.code).to.equal('contract.cancelled');
  });
});

describe('server streams', () => {
  const watchEdge = async (watch: (context: CallContext) => AsyncIterable<{ status: number }>): Promise<Edge> => {
    const edge = await Edge.make();
    edge.listener.add(HealthService, { check: async () => ({ status: 1 }), watch: (_, context) => watch(context) });
    await edge.listener.start();
    return edge;
  };

  it('produce no faster than the client reads', async () => {
    // Answers of 16 KiB, by way of an unknown field that is never read.
    const raw = { check: rawMethod(HealthService.check), watch: rawMethod(HealthService.watch) };
    const answer = Buffer.alloc(16 * KIB);
    answer.set([0x7a, 0xfc, 0x7f]);
    let made = 0;
    let stopped: () => void = () => {};
    const ended = new Promise<void>((resolve) => {
      stopped = resolve;
    });
    await using edge = await Edge.make();
    edge.listener.add(raw, {
      check: async () => answer,
      watch: async function* () {
        try {
          for (; made < 10_000; made++) yield answer;
        } finally {
          stopped();
        }
      },
    });
    await edge.listener.start();
    const channel = edge.channel(undefined, { windowBytes: 64 * KIB });
    for await (const _ of channel.serverStream(raw.watch, Buffer.alloc(0))) break;
    await ended;
    // What fits into the windows, the queue and the client's own 16 objects, and no more.
    expect(made).to.be.greaterThan(0).and.below(100);
  });

  it('end with the fault that the producer throws, after what came before', async () => {
    await using edge = await watchEdge(async function* () {
      yield { status: 1 };
      throw new ApiFault('api.exhausted', 'enough', { field: 'service' });
    });
    const seen: number[] = [];
    const reading = async () => {
      for await (const { status } of edge.channel().serverStream(HealthService.watch, { service: '' }))
        seen.push(status);
    };
    const fault = await faultOf(reading());
    expect(fault).to.include({ code: 'contract.exhausted', message: 'service: enough', reason: 'API_EXHAUSTED' });
    expect(seen).to.deep.equal([HealthCheckResponse_ServingStatus.SERVING]);
  });

  it('abort the producer when the client leaves the loop', async () => {
    let aborted: () => void = () => {};
    const told = new Promise<void>((resolve) => {
      aborted = resolve;
    });
    await using edge = await watchEdge(async function* ({ signal }) {
      yield { status: 1 };
      await untilAborted(signal);
      aborted();
    });
    for await (const _ of edge.channel().serverStream(HealthService.watch, { service: '' })) break;
    await told;
  });
});

describe('requests', () => {
  it('pass a carrier as they are, unknown fields and all', async () => {
    const raw = { enrol: rawMethod(EnrollmentServiceService.enrol), renew: rawMethod(EnrollmentServiceService.renew) };
    const odd = Buffer.from([0x0a, 0x01, 0x2a, 0xfa, 0x3f, 0x02, 0x01, 0x02]);
    const seen: Buffer[] = [];
    await using edge = await Edge.make();
    const relay = async (request: Buffer) => {
      seen.push(request);
      return request;
    };
    edge.listener.add(raw, { enrol: relay, renew: relay });
    await edge.listener.start();
    const answer = await edge.channel().unary(raw.enrol, odd);
    expect(Buffer.from(answer).equals(odd)).to.equal(true);
    expect(seen[0]?.equals(odd)).to.equal(true);
  });

  it('end in time by the injected clock, and with the signal, and tell the server', async () => {
    const signals: AbortSignal[] = [];
    const hang = (_: unknown, { signal }: CallContext) => {
      signals.push(signal);
      return untilAborted(signal).then(() => ({ ciphertext: Buffer.alloc(0) }));
    };
    await using edge = await Edge.make();
    edge.listener.add(EnrollmentServiceService, { enrol: hang, renew: hang });
    await edge.listener.start();
    const request = { encapsulatedKey: Buffer.alloc(0), ciphertext: Buffer.alloc(0) };
    const abort = new AbortController();
    const { signal } = abort;
    const given = faultOf(edge.channel().unary(EnrollmentServiceService.enrol, request, { signal }));
    while (signals.length < 1) await new Promise((resolve) => setImmediate(resolve));
    abort.abort(new Error('changed my mind'));
    expect((await given).code).to.equal('contract.cancelled');
    const already = edge.channel().unary(EnrollmentServiceService.enrol, request, { signal });
    expect((await faultOf(already)).code).to.equal('contract.cancelled');
    while (!signals[0]?.aborted) await new Promise((resolve) => setImmediate(resolve));
  });
});

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
