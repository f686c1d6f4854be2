// Streams of readings end with the token that opened them.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { WatchReadingsRequest, WatchReadingsResponse } from '../../../../gen/occmesh/readings/v1/readings.js';
import { Batch, State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { MessageFiller } from '../../../../src/cloud/api/message-filler.js';
import { MAX_PAGE_BYTES } from '../../../../src/cloud/api/paging.js';
import { mostBytesOf, toProto } from '../../../../src/cloud/api/reading-message.js';
import { ReadingService } from '../../../../src/cloud/api/reading-service.js';
import { LatestReadings } from '../../../../src/cloud/telemetry/latest.js';
import { Ledger } from '../../../../src/cloud/telemetry/ledger.js';
import { Watchers } from '../../../../src/cloud/telemetry/watch.js';
import { ApiFault } from '../../../../src/contract/fault.js';
import { uuidBytes } from '../../../../src/identity/uuid.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { TestCloud } from '../inventory/fixture.js';
import { SILENT } from './fixture.js';

const HEADER = Batch.fromPartial({ flushCount: 1 });

describe('cloud: streams of readings', () => {
  const start = async (cloud: TestCloud, lifetimeMs: number) => {
    const { inventory, store, clock } = cloud;
    const { id } = await cloud.customer('c');
    const wanted = { caller: Caller.CUSTOMER_READER, customerId: id, lifetimeMs, name: '' } as const;
    const { token, text } = await inventory.tokens.createApi(wanted);
    const principal = inventory.tokens.authenticate(text);
    if (!principal) throw new Error('the token is good');
    const watchers = new Watchers(store);
    const latest = new LatestReadings();
    const presence = { of: () => SILENT };
    const ledger = new Ledger(store);
    const modules = { inventory, store, ledger, presence, latest, watchers, clock, random: systemRandom };
    const service = new ReadingService(modules);
    const abort = new AbortController();
    const call = { principal, signal: abort.signal };
    const answers = service.watchReadings(WatchReadingsRequest.fromPartial({}), call);
    const hub = { customer: uuidBytes(id), machine: Buffer.alloc(16, 7) };
    await answers.next();
    /** The readings of the next answer, after one was stored. */
    const next = async () => {
      const answer = answers.next();
      await Promise.resolve();
      const reading = { sensor: 1, takenAt: epochMs(1), state: State.OK, message: '', values: [] };
      watchers.stored(hub, Buffer.alloc(16), { header: HEADER, flushes: () => [{ number: 0, readings: [reading] }] });
      return WatchReadingsResponse.decode((await answer).value ?? Buffer.alloc(0)).readings;
    };
    return { token, next };
  };

  const faultOf = (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => undefined,
      (thrown) => (thrown instanceof ApiFault ? thrown.code : thrown),
    );

  it('tell nothing more to the bearer of a token that was revoked', async () => {
    await using cloud = await TestCloud.start();
    const { token, next } = await start(cloud, 0);
    expect(await next()).to.have.length(1);
    await cloud.inventory.tokens.revoke(token.id);
    expect(await faultOf(next())).to.equal('api.unauthenticated');
  });

  it('come in messages that are not too large, however large the readings are', async () => {
    const filler = new MessageFiller(mostBytesOf);
    const name = (n: number) => `${n}`.padStart(128, 'ü');
    const values = Array.from({ length: 256 }, (_, n) => ({ name: name(n), unit: 'ü'.repeat(32), value: Math.PI }));
    const reading = toProto('x'.repeat(36), {
      reading: {
        sensor: 2 ** 32 - 1,
        takenAt: epochMs(2 ** 51 - 1),
        state: State.UNKNOWN,
        message: 'ü'.repeat(512),
        values,
      },
      ...{ log: Buffer.alloc(16, 1), flush: Number.MAX_SAFE_INTEGER, position: 4_095 },
    });
    const messages = Array.from({ length: 100 }, () => filler.add(reading)).filter((full) => full !== undefined);
    messages.push(filler.take() ?? []);
    expect(messages.flat()).to.have.length(100);
    for (const readings of messages) {
      expect(
        WatchReadingsResponse.encode(WatchReadingsResponse.fromPartial({ readings })).finish().length,
      ).to.be.within(1, MAX_PAGE_BYTES);
    }
    const small = { ...reading, message: '', values: [] };
    const full = Array.from({ length: 1_001 }, () => filler.add(small)).filter((some) => some !== undefined);
    expect(full.map(({ length }) => length)).to.deep.equal([1_000]);
  });

  it('nor to that of one that has expired', async () => {
    await using cloud = await TestCloud.start();
    const { next } = await start(cloud, 60_000);
    expect(await next()).to.have.length(1);
    cloud.clock.jumpWall(60_000);
    expect(await faultOf(next())).to.equal('api.unauthenticated');
  });
});
