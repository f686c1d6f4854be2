// readings.v1.ReadingService: pages, buckets, and who may see what.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { MachineState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import {
  AggregateReadingsRequest,
  GetLatestRequest,
  GetLatestResponse,
  GetLedgerRequest,
  MissingReason,
  QueryReadingsRequest,
  WatchReadingsRequest,
  WatchReadingsResponse,
} from '../../../../gen/occmesh/readings/v1/readings.js';
import { LedgerEntry } from '../../../../gen/occmesh/store/v1/store.js';
import { GapReason, Signed, State, Witness } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { keyOfToken, tokenOf } from '../../../../src/cloud/api/paging.js';
import type { MachinePresence } from '../../../../src/cloud/api/ports.js';
import { ReadingService } from '../../../../src/cloud/api/reading-service.js';
import type { MachineRecord } from '../../../../src/cloud/inventory/records.js';
import { tableKey } from '../../../../src/cloud/tables.js';
import { LatestReadings } from '../../../../src/cloud/telemetry/latest.js';
import { type HubKey, Ledger } from '../../../../src/cloud/telemetry/ledger.js';
import { Watchers } from '../../../../src/cloud/telemetry/watch.js';
import type { Principal } from '../../../../src/contract/callers.js';
import { DEFAULT_LIMITS } from '../../../../src/contract/limits.js';
import { uuidBytes, uuidText } from '../../../../src/identity/uuid.js';
import { epochMs, minutes } from '../../../../src/kernel/duration.js';
import { systemRandom, uuid7 } from '../../../../src/kernel/random.js';
import { u64be } from '../../../../src/storage/keys.js';
import { packBatch, unpackBatch } from '../../../../src/telemetry/batch.js';
import type { Reading } from '../../../../src/telemetry/reading.js';
import { TestCloud } from '../inventory/fixture.js';
import { faultOf, SILENT } from './fixture.js';

const LOG = Buffer.alloc(16, 1);

class TestReadings implements AsyncDisposable {
  readonly latest = new LatestReadings();
  /** Of every machine. */
  presence: MachinePresence = SILENT;
  readonly ledger: Ledger;
  readonly watchers: Watchers;
  readonly service: ReadingService;
  readonly operator: Principal;

  private constructor(
    readonly cloud: TestCloud,
    text: string,
  ) {
    const { store, inventory, clock } = cloud;
    this.watchers = new Watchers(store, 8);
    this.ledger = new Ledger(store);
    const { ledger, latest } = this;
    this.service = new ReadingService({
      inventory,
      store,
      ledger,
      latest,
      presence: { of: () => this.presence },
      watchers: this.watchers,
      clock,
      random: systemRandom,
    });
    this.operator = inventory.tokens.authenticate(text) ?? { kind: 'anonymous' };
  }

  static async start(): Promise<TestReadings> {
    const cloud = await TestCloud.start();
    const wanted = { caller: Caller.OPERATOR, customerId: undefined, lifetimeMs: 0, name: '' } as const;
    return new TestReadings(cloud, (await cloud.inventory.tokens.createApi(wanted)).text);
  }

  async reader(customerId: string): Promise<Principal> {
    const wanted = { caller: Caller.CUSTOMER_READER, customerId, lifetimeMs: 0, name: '' } as const;
    const { text } = await this.cloud.inventory.tokens.createApi(wanted);
    return this.cloud.inventory.tokens.authenticate(text) ?? { kind: 'anonymous' };
  }

  /** The newest reading of some sensors of a hub. */
  measured(machine: MachineRecord, sensors: readonly number[], message = ''): void {
    const readings = sensors.map((sensor) => ({ ...reading(sensor, 1), message }));
    const latest = () => readings.map((one, position) => ({ reading: one, flush: 0, position }));
    this.latest.stored(keyOf(machine), LOG, { latest });
  }

  async store(machine: MachineRecord, readings: readonly Reading[]): Promise<void> {
    const content = packBatch({ log: LOG, firstFlush: 0, chain: LOG }, [{ number: 0, readings }]);
    const times = readings.map(({ takenAt }) => takenAt);
    const [earliestMs, latestMs] = [Math.min(...times), Math.max(...times)];
    const about = { flushCount: 1, chain: LOG, readingCount: readings.length, earliestMs, latestMs };
    const entry = LedgerEntry.fromPartial(about);
    const key = keyOf(machine);
    const at = [key.machine, LOG, u64be(0)] as const;
    await this.cloud.store.commit(() => [
      { put: tableKey(key.customer, 'batch', ...at), value: Signed.encode(Signed.fromPartial({ content })).finish() },
      { put: tableKey(key.customer, 'ledger', ...at), value: LedgerEntry.encode(entry).finish() },
    ]);
  }

  call(principal: Principal) {
    return { principal, signal: new AbortController().signal };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cloud[Symbol.asyncDispose]();
  }
}

const keyOf = ({ id, customerId }: MachineRecord): HubKey => ({
  customer: uuidBytes(customerId),
  machine: uuidBytes(id),
});

const reading = (sensor: number, at: number): Reading => ({
  sensor,
  takenAt: epochMs(at),
  state: State.OK,
  message: '',
  values: [{ name: 'used', unit: '%', value: at }],
});

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const one of stream) found.push(one);
  return found;
}

describe('cloud: readings API', () => {
  /** Every page of the latest readings, as `hub/sensor`; `between` happens after each. */
  async function pages(api: TestReadings, principal: Principal, pageSize: number, between = () => {}) {
    const found: { sensors: string[]; bytes: number }[] = [];
    let pageToken = '';
    do {
      const request = GetLatestRequest.fromPartial({ pageSize, pageToken });
      const encoded = await api.service.getLatest(request, api.call(principal));
      const answer = GetLatestResponse.decode(encoded);
      found.push({
        sensors: answer.readings.map(({ machineId, sensor }) => `${machineId}/${sensor}`),
        bytes: encoded.length,
      });
      pageToken = answer.nextPageToken;
      between();
    } while (pageToken !== '');
    return found;
  }

  it('tells the latest of every sensor page by page: by hub, then sensor, each once', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const hubs = [];
    for (let i = 0; i < 3; i++) hubs.push((await api.cloud.enrolled(id, 'hub')).record);
    for (const hub of hubs) api.measured(hub, [11, 2, 4_000_000_000, 100]);
    const sorted = hubs.map((hub) => hub.id).sort();
    const expected = sorted.flatMap((hub) => [2, 11, 100, 4_000_000_000].map((sensor) => `${hub}/${sensor}`));
    for (const size of [1, 2, 4, 5, 12, 0]) {
      const found = await pages(api, api.operator, size);
      expect(found.flatMap(({ sensors }) => sensors)).to.deep.equal(expected);
      expect(found).to.have.length(size === 0 ? 1 : Math.ceil(12 / size));
    }
    // A sensor that appears behind where a page ended comes with a later one; nothing else moves.
    let more = 200;
    const last = hubs.find((hub) => hub.id === sorted.at(-1));
    const grown = await pages(api, api.operator, 5, () => last && more < 202 && api.measured(last, [more++]));
    const [before, behind] = [expected.slice(0, -1), expected.slice(-1)];
    expect(grown.flatMap(({ sensors }) => sensors)).to.deep.equal([
      ...before,
      ...[200, 201].map((sensor) => `${last?.id}/${sensor}`),
      ...behind,
    ]);
  });

  it('tells the latest reading as it is now, whatever was told before', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    const told = async () =>
      GetLatestResponse.decode(await api.service.getLatest(GetLatestRequest.fromPartial({}), api.call(api.operator)));
    const expected = (flush: number, change: Partial<Reading>) => ({
      ...{ machineId: record.id, sensor: 7, takenAtMs: 1, state: State.OK, message: '' },
      ...{ values: [{ name: 'used', unit: '%', value: 1 }], id: { log: LOG, flush, position: 0 } },
      ...change,
    });
    const stored = (flush: number, change: Partial<Reading>) =>
      api.latest.stored(keyOf(record), LOG, {
        latest: () => [{ reading: { ...reading(7, 1), ...change }, flush, position: 0 }],
      });
    stored(3, {});
    for (const _ of [1, 2]) expect(await told()).to.deep.equal({ readings: [expected(3, {})], nextPageToken: '' });
    const failed = { state: State.UNKNOWN, message: 'größer', values: [] };
    stored(4, failed);
    expect(await told()).to.deep.equal({ readings: [expected(4, failed)], nextPageToken: '' });
    // Backlog, which is no later.
    stored(2, {});
    expect(await told()).to.deep.equal({ readings: [expected(4, failed)], nextPageToken: '' });
  });

  it('ends a page of latest readings before its message would be too large', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    // Three bytes a character.
    api.measured(
      record,
      Array.from({ length: 2_000 }, (_, i) => i + 1),
      '…'.repeat(341),
    );
    const found = await pages(api, api.operator, 10_000);
    expect(found.flatMap(({ sensors }) => sensors)).to.have.length(2_000);
    for (const { bytes } of found) expect(bytes).to.be.lessThan(DEFAULT_LIMITS.messageBytes / 1.5);
  });

  it('refuses sizes and tokens of pages that it has not given out', async () => {
    await using api = await TestReadings.start();
    const latest = (request: Partial<GetLatestRequest>) =>
      faultOf(api.service.getLatest(GetLatestRequest.fromPartial(request), api.call(api.operator)));
    expect(await latest({ pageSize: 10_001 })).to.equal('api.invalid: page_size: must be 1 to 10000, is 10001');
    for (const token of ['x', '1', '1eA', '2eC8x', `1${Buffer.from('x/y').toString('base64url')}`]) {
      expect(await latest({ pageToken: token }), token).to.match(/^api\.invalid: page_token: /);
    }
  });

  it('tells a ledger page by page, by birth of the logs', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    const ledger = await api.ledger.of(keyOf(record));
    for (const n of [5, 1, 3, 2, 4]) {
      ledger.log(Buffer.alloc(16, n)).hold(0, { flushCount: 1, readingCount: n, chain: LOG });
    }
    const found: number[][] = [];
    let pageToken = '';
    do {
      const request = GetLedgerRequest.fromPartial({ machineId: record.id, pageSize: 2, pageToken });
      const answer = await api.service.getLedger(request, api.call(api.operator));
      found.push(answer.logs.map(({ readingCount }) => readingCount));
      pageToken = answer.nextPageToken;
    } while (pageToken !== '');
    expect(found).to.deep.equal([[1, 2], [3, 4], [5]]);
  });

  const ask = (api: TestReadings, principal: Principal, change: Partial<AggregateReadingsRequest>) =>
    all(api.service.aggregateReadings(AggregateReadingsRequest.fromPartial(change), api.call(principal)));

  it('keeps only so many sums of a customer for readers that are slow, and lets nobody else wait', async () => {
    await using api = await TestReadings.start();
    const started = async (): Promise<(signal: AbortSignal) => AsyncGenerator<unknown>> => {
      const { id } = await api.cloud.customer(`${systemRandom.bytes(4).toString('hex')}`);
      const { record } = await api.cloud.enrolled(id, 'hub');
      await api.store(record, [reading(1, 1_000)]);
      const principal = await api.reader(id);
      const range = { machineId: record.id, fromMs: 1_000, untilMs: 4_000, bucketMs: 1_000 };
      const request = AggregateReadingsRequest.fromPartial(range);
      return (signal) => api.service.aggregateReadings(request, { principal, signal });
    };
    const [ours, theirs] = [await started(), await started()];
    const gone = new AbortController();
    const here = new AbortController().signal;
    const slow = Array.from({ length: 4 }, () => ours(here));
    for (const stream of slow) expect((await stream.next()).done).to.equal(false);
    let answered = 0;
    const [impatient, patient] = [ours(gone.signal).next(), ours(here).next()];
    for (const waiting of [impatient, patient]) {
      const note = () => {
        answered += 1;
      };
      waiting.then(note, note);
    }
    // Whoever is another customer is answered, and by then we would have been.
    for (let i = 0; i < 6; i++) expect(await all(theirs(here))).to.have.length(2);
    expect(answered).to.equal(0);
    gone.abort(new Error('gone'));
    expect(String(await impatient.catch((thrown: unknown) => thrown))).to.equal('Error: gone');
    expect(answered).to.equal(1);
    await slow[0]?.return(undefined);
    expect((await patient).done).to.equal(false);
  });

  it('sums a range up in buckets: states first, then each metric; of one sensor or of all', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    await api.store(record, [
      reading(1, 1_000),
      reading(1, 1_500),
      reading(1, 3_000),
      reading(2, 1_000),
      reading(1, 9_000),
    ]);
    const range = { machineId: record.id, fromMs: 1_000, untilMs: 4_000, bucketMs: 1_000 };
    const ofOne = await ask(api, api.operator, { ...range, sensor: 1 });
    expect(ofOne).to.deep.equal([
      {
        ...{ machineId: record.id, sensor: 1 },
        content: { $case: 'states', value: { buckets: [0, 2], counts: [2, 1], worst: [State.OK, State.OK] } },
      },
      {
        ...{ machineId: record.id, sensor: 1 },
        content: {
          $case: 'metric',
          value: {
            ...{ name: 'used', unit: '%', buckets: [0, 2], counts: [2, 1], minimums: [1_000, 3_000] },
            ...{ maximums: [1_500, 3_000], sums: [2_500, 3_000], lasts: [1_500, 3_000] },
          },
        },
      },
    ]);
    const ofAll = await ask(api, api.operator, range);
    expect(ofAll.map(({ sensor }) => sensor)).to.deep.equal([1, 1, 2, 2]);
    expect(ofAll.slice(0, 2)).to.deep.equal(ofOne);
    expect(await ask(api, api.operator, { ...range, fromMs: 5_000, untilMs: 6_000 })).to.deep.equal([]);
  });

  describe('of sensors of several hubs', () => {
    const RANGE = { fromMs: 0, untilMs: 10_000 };
    const start = async () => {
      const api = await TestReadings.start();
      const { id } = await api.cloud.customer('c');
      const hubs = [(await api.cloud.enrolled(id, 'hub')).record, (await api.cloud.enrolled(id, 'hub')).record];
      for (const hub of hubs) {
        await api.store(hub, [reading(1, 1_000), reading(2, 2_000), reading(3, 3_000)]);
        api.measured(hub, [1, 2, 3]);
      }
      const [a = '', b = ''] = hubs.map((hub) => hub.id);
      return { api, a, b, customerId: id, call: api.call(api.operator) };
    };
    const named = ({ machineId, sensor }: { machineId: string; sensor: number }) => `${machineId}/${sensor}`;

    it('gives those that were named, of each hub, and no others', async () => {
      const { api, a, b, call } = await start();
      await using _ = api;
      const sensorIds = [`${b}/3`, `${a}/2`, `${a}/1`, `${a}/2`, `${b}/77`];
      const { service } = api;
      const wanted = [`${a}/1`, `${a}/2`, `${b}/3`].sort();
      const latest = GetLatestResponse.decode(
        await service.getLatest(GetLatestRequest.fromPartial({ sensorIds }), call),
      );
      expect(latest.readings.map(named)).to.deep.equal(wanted);
      const found = await all(service.queryReadings(QueryReadingsRequest.fromPartial({ ...RANGE, sensorIds }), call));
      expect(found.flatMap(({ readings }) => readings.map(named)).sort()).to.deep.equal(wanted);
      const buckets = await ask(api, api.operator, { ...RANGE, bucketMs: 1_000, sensorIds });
      expect([...new Set(buckets.map(named))].sort()).to.deep.equal(wanted);
    });

    it('refuses what is none, too many, and what says the same twice', async () => {
      const { api, a, call } = await start();
      await using _ = api;
      const { service } = api;
      const query = (change: object) =>
        faultOf(all(service.queryReadings(QueryReadingsRequest.fromPartial({ ...RANGE, ...change }), call)));
      for (const id of ['', 'x', `${a}/`, `${a}/0`, `${a}/1/2`, `${a}/-1`, `/${a}`])
        expect(await query({ sensorIds: [`${a}/1`, id] }), id).to.match(
          /^api\.invalid: sensor_ids\[1\]: must be the id/,
        );
      const many = Array.from({ length: 101 }, (_, i) => `${a}/${i + 1}`);
      expect(await query({ sensorIds: many })).to.equal('api.invalid: sensor_ids: names 101 sensors; 100 at most');
      expect(await query({ sensorIds: many.slice(1) })).to.equal('no fault');
      expect(await query({ sensorIds: [`${a}/1`], machineId: a })).to.match(/^api\.invalid: sensor_ids: come instead/);
    });

    it('takes one of another customer for one that does not exist', async () => {
      const { api, a, customerId } = await start();
      await using _ = api;
      const { id } = await api.cloud.customer('other');
      const call = api.call(await api.reader(id));
      const own = api.call(await api.reader(customerId));
      const { service } = api;
      const nobody = uuidText(uuid7(systemRandom, api.cloud.clock.now()));
      const asking: ((sensorId: string, by: typeof call) => Promise<unknown>)[] = [
        (sensorId, by) => service.getLatest(GetLatestRequest.fromPartial({ sensorIds: [sensorId] }), by),
        (sensorId, by) =>
          all(service.queryReadings(QueryReadingsRequest.fromPartial({ ...RANGE, sensorIds: [sensorId] }), by)),
        (sensorId, by) => {
          const request = { ...RANGE, bucketMs: 1_000, sensorIds: [sensorId] };
          return all(service.aggregateReadings(AggregateReadingsRequest.fromPartial(request), by));
        },
        (sensorId, by) => service.watchReadings(WatchReadingsRequest.fromPartial({ sensorIds: [sensorId] }), by).next(),
      ];
      for (const request of asking) {
        expect(await faultOf(request(`${a}/1`, own))).to.equal('no fault');
        expect(await faultOf(request(`${a}/1`, call))).to.equal('inventory.not-found: no such machine');
        expect(await faultOf(request(`${nobody}/1`, call))).to.equal('inventory.not-found: no such machine');
      }
    });
  });

  describe('as they are stored', () => {
    const start = async () => {
      const api = await TestReadings.start();
      const { id } = await api.cloud.customer('c');
      const { record } = await api.cloud.enrolled(id, 'hub');
      const watch = (afterPosition = '') =>
        api.service.watchReadings(WatchReadingsRequest.fromPartial({ afterPosition }), api.call(api.operator));
      const next = async (stream: AsyncGenerator<Uint8Array>) =>
        WatchReadingsResponse.decode((await stream.next()).value as Uint8Array);
      let flush = 0;
      const stored = () => {
        const readings = [reading(1, 1_000 + flush)];
        const content = packBatch({ log: LOG, firstFlush: flush, chain: LOG }, [{ number: flush++, readings }]);
        api.watchers.stored(keyOf(record), LOG, unpackBatch(content));
      };
      return { api, record, watch, next, stored };
    };

    it('come with a position, from the first message on', async () => {
      const { api, watch, next, stored } = await start();
      await using _ = api;
      const stream = watch();
      const first = await next(stream);
      expect(first).to.deep.include({ readings: [], missedSinceMs: 0 });
      expect(first.position).to.not.equal('');
      const second = next(stream);
      stored();
      expect((await second).readings).to.have.length(1);
      expect((await second).position)
        .to.not.equal('')
        .and.not.equal(first.position);
    });

    it('come from the store to one who comes back, and who is told when that is not all', async () => {
      const { api, record, watch, next, stored } = await start();
      await using _ = api;
      const { position } = await next(watch());
      await api.store(record, [reading(1, 1_000)]);
      stored();
      const again = watch(position);
      expect(await next(again)).to.deep.include({ readings: [], missedSinceMs: 0 });
      expect((await next(again)).readings.map(({ takenAtMs }) => takenAtMs)).to.deep.equal([1_000]);
      const before = api.cloud.clock.now();
      await api.cloud.clock.advance(minutes(5));
      for (let i = 0; i < 8; i++) stored();
      expect((await next(watch(position))).missedSinceMs, 'eight are remembered').to.equal(before);
      const other = await TestReadings.start();
      await using __ = other;
      const elsewhere = WatchReadingsRequest.fromPartial({ afterPosition: position });
      expect((await next(other.service.watchReadings(elsewhere, other.call(other.operator)))).missedSinceMs).to.equal(
        before,
      );
    });

    it('come after no position that is none', async () => {
      const { api, watch, next } = await start();
      await using _ = api;
      for (const position of ['x', tokenOf('x'), tokenOf('0123456789ab/x/1'), tokenOf('0123456789ab/1')])
        expect(await faultOf(next(watch(position)))).to.match(/^api\.invalid: after_position: is not /);
    });

    it('come with positions that say nothing, and that nobody can make', async () => {
      const { api, watch, next, stored } = await start();
      await using _ = api;
      const textOf = async () => keyOfToken((await next(watch())).position) ?? '';
      const before = [await textOf(), await textOf()];
      for (let i = 0; i < 3; i++) stored();
      const all = [...before, await textOf()].map((text) => text.split('/'));
      expect(new Set(all.map(([, sealed]) => sealed)).size, 'no two are the same').to.equal(3);
      expect(new Set(all.map((parts) => parts.map(({ length }) => length).join())).size).to.equal(1);
      const [begun, sealed, atMs] = all[0] as [string, string, string];
      for (let i = 0; i < sealed.length; i++) {
        const digit = sealed[i] === '0' ? '1' : '0';
        const forged = tokenOf([begun, sealed.slice(0, i) + digit + sealed.slice(i + 1), atMs].join('/'));
        expect(await faultOf(next(watch(forged)))).to.match(/^api\.invalid: after_position: is not /);
      }
      expect((await next(watch(tokenOf([begun, sealed, atMs].join('/'))))).missedSinceMs, 'as it is').to.equal(0);
    });
  });

  it('says what is missing of a range and why, before what is there, raw and summed up', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    await api.store(record, [reading(1, 1_000)]);
    const now = api.cloud.clock.now();
    const ranges = async (range: { fromMs: number; untilMs: number }) => {
      const request = { machineId: record.id, sensor: 1, bucketMs: range.untilMs, ...range };
      const call = api.call(api.operator);
      const raw = await all(api.service.queryReadings(QueryReadingsRequest.fromPartial(request), call));
      const sums = await all(api.service.aggregateReadings(AggregateReadingsRequest.fromPartial(request), call));
      const [first] = sums;
      const inSums = first?.content?.$case === 'missing' ? first.content.value.spans : [];
      expect(inSums).to.deep.equal(raw.flatMap(({ missing }) => missing));
      expect(raw.map(({ readings }) => readings.length)).to.deep.equal([
        ...(inSums.length > 0 ? [0] : []),
        ...(range.fromMs <= 1_000 ? [1] : []),
      ]);
      return inSums;
    };
    const everything = { fromMs: 0, untilMs: now + 1_000_000 };
    expect(await ranges(everything)).to.deep.equal([]);
    const ledger = await api.ledger.of(keyOf(record));
    ledger.announce(LOG, 5);
    const gap = { first: 1, count: 2, noticedAtMs: 9_000, readingCount: 0 };
    ledger.log(LOG).addGap({ ...gap, reason: GapReason.LOG_FULL, witness: Witness.HUB });
    api.presence = {
      ...SILENT,
      state: MachineState.LOST,
      lastSeenMs: now - 60_000,
      clockOffsetMs: 5_000,
    };
    const common = { machineId: record.id, log: LOG, gapReason: GapReason.UNSPECIFIED };
    const lost = {
      ...{ ...common, fromMs: 1_000, untilMs: 9_000, reason: MissingReason.LOST },
      ...{ gapReason: GapReason.LOG_FULL, flushes: { first: 1, count: 2 } },
    };
    const outstanding = {
      ...{ ...common, fromMs: 1_000, untilMs: now + 5_000, reason: MissingReason.OUTSTANDING },
      flushes: { first: 3, count: 2 },
    };
    const away = {
      ...{ ...common, fromMs: now - 55_000, untilMs: now + 5_000, reason: MissingReason.AWAY },
      ...{ log: Buffer.alloc(0), flushes: undefined },
    };
    expect(await ranges(everything)).to.deep.equal([lost, outstanding, away]);
    expect(await ranges({ fromMs: 10_000, untilMs: 20_000 })).to.deep.equal([outstanding]);
    expect(await ranges({ fromMs: now + 5_001, untilMs: now + 6_000 })).to.deep.equal([]);
    api.presence = { ...api.presence, state: MachineState.ONLINE };
    expect(await ranges(everything)).to.deep.equal([lost, outstanding]);
  });

  it('looks for what is missing only as long as somebody waits for it', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    const log = (await api.ledger.of(keyOf(record))).log(LOG);
    const common = { count: 1, noticedAtMs: 9_000, readingCount: 0, reason: GapReason.LOG_FULL, witness: Witness.HUB };
    for (let n = 0; n < 50; n++) log.addGap({ first: 2 * n, ...common });
    const { store } = api.cloud;
    const entries = store.entries.bind(store);
    // In a range in which nothing is missing, so that nothing is handed out.
    const range = { machineId: record.id, fromMs: 1e15, untilMs: 2e15 };
    const asking: ((call: ReturnType<typeof api.call>) => AsyncIterable<unknown>)[] = [
      (call) => api.service.queryReadings(QueryReadingsRequest.fromPartial(range), call),
      (call) => {
        const request = AggregateReadingsRequest.fromPartial({ ...range, bucketMs: 1e15 });
        return api.service.aggregateReadings(request, call);
      },
    ];
    for (const ask of asking) {
      for (const leaves of [true, false]) {
        const gone = new AbortController();
        let looked = 0;
        store.entries = (wanted) => {
          looked += 1;
          if (leaves && looked === 3) gone.abort(new Error('gone'));
          return entries(wanted);
        };
        const told = await faultOf(all(ask({ principal: api.operator, signal: gone.signal })));
        if (leaves) expect([told, looked <= 4]).to.deep.equal(['Error: gone', true]);
        else expect([told, looked >= 100]).to.deep.equal(['no fault', true]);
      }
    }
  });

  it('refuses ranges that are none, and more than 10,000 buckets', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    const fault = (fromMs: number, untilMs: number, bucketMs: number) =>
      faultOf(ask(api, api.operator, { machineId: record.id, fromMs, untilMs, bucketMs }));
    expect(await fault(5, 5, 1)).to.equal('api.invalid: until_ms: must be after from_ms');
    expect(await fault(5, 0, 1)).to.equal('api.invalid: until_ms: must be after from_ms');
    expect(await fault(0, 5, 0)).to.equal('api.invalid: bucket_ms: must be at least 1');
    expect(await fault(0, 10_001, 1)).to.equal('api.invalid: bucket_ms: makes 10001 buckets; 10000 at most');
    expect(await fault(-(2 ** 53) + 1, 2 ** 53 - 1, 1)).to.match(/^api\.invalid: bucket_ms: makes /);
    expect(await fault(0, 10_000, 1)).to.equal('no fault');
    expect(await fault(0, 10_001, 2)).to.equal('no fault');
  });

  it("takes what is another customer's for what does not exist", async () => {
    await using api = await TestReadings.start();
    const [own, foreign] = [await api.cloud.customer('own'), await api.cloud.customer('foreign')];
    const { record: mine } = await api.cloud.enrolled(own.id, 'hub');
    const { record: theirs } = await api.cloud.enrolled(foreign.id, 'hub');
    for (const hub of [mine, theirs]) api.measured(hub, [1]);
    await api.store(theirs, [reading(1, 1)]);
    const call = api.call(await api.reader(own.id));
    const nobody = uuidText(uuid7(systemRandom, api.cloud.clock.now()));
    const { service } = api;
    const buckets = { fromMs: 0, untilMs: 10, bucketMs: 1 };
    const asking: ((machineId: string) => Promise<unknown>)[] = [
      (machineId) => service.getLatest(GetLatestRequest.fromPartial({ machineId }), call),
      (machineId) => service.getLedger(GetLedgerRequest.fromPartial({ machineId }), call),
      (machineId) => all(service.queryReadings(QueryReadingsRequest.fromPartial({ machineId }), call)),
      (machineId) =>
        all(service.aggregateReadings(AggregateReadingsRequest.fromPartial({ machineId, ...buckets }), call)),
      (machineId) => all(service.watchReadings(WatchReadingsRequest.fromPartial({ machineId }), call)),
    ];
    for (const [i, request] of asking.entries()) {
      const told = await faultOf(request(theirs.id));
      expect(told, `${i}`).to.equal('inventory.not-found: no such machine');
      expect(await faultOf(request(nobody)), `${i}`).to.equal(told);
      // Watching goes on for ever.
      if (i < asking.length - 1) expect(await faultOf(request(mine.id)), `${i}`).to.equal('no fault');
    }
    // A page token names a place, and opens nothing.
    const latest = async (request: Partial<GetLatestRequest>, by: ReturnType<typeof api.call>) =>
      GetLatestResponse.decode(await service.getLatest(GetLatestRequest.fromPartial(request), by));
    const { nextPageToken: pageToken } = await latest({ pageSize: 1 }, api.call(api.operator));
    const { readings } = await latest({ pageToken }, call);
    expect(readings.every(({ machineId }) => machineId === mine.id)).to.equal(true);
    expect((await ask(api, api.operator, { machineId: theirs.id, ...buckets })).length).to.equal(2);
  });

  it('stops summing up for the bearer of a token that was revoked', async () => {
    await using api = await TestReadings.start();
    const { id } = await api.cloud.customer('c');
    const { record } = await api.cloud.enrolled(id, 'hub');
    await api.store(record, [reading(1, 1)]);
    const principal = await api.reader(id);
    const request = { machineId: record.id, fromMs: 0, untilMs: 10, bucketMs: 1 };
    expect(await ask(api, principal, request)).to.have.length(2);
    if (principal.kind !== 'user') throw new Error('the token is good');
    await api.cloud.inventory.tokens.revoke(principal.tokenId);
    expect(await faultOf(ask(api, principal, request))).to.match(/^api\.unauthenticated/);
  });
});
