// Retention by itself: which hubs, how long, what is told, and what it does when it cannot. And the gate that lets others
// read meanwhile.
import { expect } from 'chai';
import type { Logger } from 'pino';
import { State } from '../../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { HistoryGate } from '../../../../../src/cloud/telemetry/history-gate.js';
import { BackgroundRetention } from '../../../../../src/cloud/telemetry/retention/background.js';
import { DAY } from '../../../../../src/cloud/telemetry/summaries/block.js';
import { days, epochMs, hours, minutes } from '../../../../../src/kernel/duration.js';
import { SerialByKey } from '../../../../../src/kernel/serial.js';
import { MemoryStore } from '../../../../../src/storage/memory.js';
import { FakeClock } from '../../../../support/fake-clock.js';
import { HUB, TelemetryStore, WrittenLog } from '../../../../support/telemetry-store.js';
import { until } from '../../../../support/until.js';

describe('retention in the background', () => {
  const clock = new FakeClock();
  const now = clock.now();
  const log = new WrittenLog(
    [60, 50, 20, 10].map((age, number) => ({
      number,
      readings: [{ sensor: 1, takenAt: epochMs(now - age * DAY), state: State.OK, message: '', values: [] }],
    })),
  );
  const keeping = (raw: number) => ({ hub: HUB, retention: { raw: days(raw), summaries: days(400) } });

  it('begins a minute after the start, comes back, follows a policy that changes, and goes on after a failure', async () => {
    const store = new MemoryStore();
    const telemetry = new TelemetryStore(store);
    for (let i = 0; i < 4; i++) await telemetry.add(log.batch(i, i + 1));
    const told: object[] = [];
    const note = (fields: object, message: string) => told.push({ ...fields, message });
    const retention = new BackgroundRetention({
      ...{ store, ledger: telemetry.ledger, turns: new SerialByKey(), clock, isBusy: () => false },
      log: { info: note, warn: note } as unknown as Logger,
    });
    const stop = new AbortController();
    let raw = 30;
    const running = retention.run(() => [keeping(raw)], stop.signal);
    const batches = async () => (await telemetry.contents()).batches;

    await clock.untilArmed();
    expect(await batches(), 'not before').to.equal(4);
    store.failNextWrite();
    await clock.advance(minutes(1));
    await until(() => told.length === 1, 'it has failed');
    expect(told.splice(0)).to.satisfy(([one]: { message: string }[]) => one?.message.includes('could not expire'));
    expect(await batches()).to.equal(4);

    await clock.untilArmed();
    await clock.advance(hours(6));
    await until(async () => (await batches()) === 2, 'what is older than 30 days has gone');
    await clock.untilArmed();
    expect(told.splice(0)).to.deep.equal([
      {
        ...{ customer: '21'.repeat(16), hub: '22'.repeat(16), readings: 2, forgotten: 0, summaries: 0 },
        message: 'readings have expired',
      },
    ]);

    raw = 15;
    await clock.advance(hours(6));
    await until(async () => (await batches()) === 1, 'what is older than 15 days has gone');
    await clock.untilArmed();
    told.length = 0;
    await clock.advance(hours(6));
    await clock.untilArmed();
    expect(told, 'nothing to tell').to.deep.equal([]);
    stop.abort();
    await running;
    expect(clock.armed).to.equal(0);
  });

  it('comes as often as it is told to, the first time too', async () => {
    const store = new MemoryStore();
    const { ledger } = new TelemetryStore(store);
    const log = { info: () => undefined, warn: () => undefined } as unknown as Logger;
    const turns = new SerialByKey();
    const retention = new BackgroundRetention({ store, ledger, turns, clock, isBusy: () => false, log });
    const stop = new AbortController();
    let times = 0;
    const hubs = () => {
      times += 1;
      return [];
    };
    const running = retention.run(hubs, stop.signal, minutes(0.5));
    for (const round of [1, 2, 3]) {
      await clock.untilArmed();
      await clock.advance(minutes(0.5));
      await until(() => times === round, `round ${round}`);
    }
    stop.abort();
    await running;
  });

  it('moves nothing while somebody reads, and lets nobody begin to read while it moves', async () => {
    const gate = new HistoryGate();
    const machine = Buffer.alloc(16, 1);
    const order: string[] = [];
    const [reading, moving] = [promise(), promise()];
    const first = gate.read(machine, () => reading.promise).then(() => order.push('read'));
    const move = gate.move(machine, () => moving.promise).then(() => order.push('moved'));
    const second = gate.read(machine, async () => order.push('read again'));
    await gate.read(Buffer.alloc(16, 2), async () => order.push('another'));
    expect(order).to.deep.equal(['another']);
    reading.resolve();
    await first;
    expect(order).to.deep.equal(['another', 'read']);
    moving.resolve();
    await Promise.all([move, second]);
    expect(order.slice(2).sort()).to.deep.equal(['moved', 'read again']);
  });

  it('lets others read and move after one of them has failed', async () => {
    const gate = new HistoryGate();
    const machine = Buffer.alloc(16, 1);
    const fail = () => Promise.reject(new Error('no'));
    await gate.read(machine, fail).catch(() => undefined);
    await gate.move(machine, fail).catch(() => undefined);
    expect(await gate.read(machine, async () => 'read')).to.equal('read');
    await gate.move(machine, async () => undefined);
  });
});

/** Promise.withResolvers, which Node 20 does not have. */
function promise() {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
