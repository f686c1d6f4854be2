// Whose readings are kept, and for how long: as it holds when a hub's turn comes, not when the pass over all of them began.
import { expect } from 'chai';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { DEFAULT_RETENTION } from '../../../src/cloud/inventory/retention.js';
import { keepings } from '../../../src/cloud/keepings.js';
import { BackgroundRetention, type Keeping } from '../../../src/cloud/telemetry/retention/background.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { days, epochMs } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { SerialByKey } from '../../../src/kernel/serial.js';
import { MemoryStore } from '../../../src/storage/memory.js';
import { FakeClock } from '../../support/fake-clock.js';
import { HUB, TelemetryStore, WrittenLog } from '../../support/telemetry-store.js';
import { TestCloud } from './inventory/fixture.js';

describe('how long readings of hubs are kept', () => {
  it('is what their customers say, of retired ones too, and of hubs only', async () => {
    await using cloud = await TestCloud.start();
    const { id: customer } = await cloud.customer('one');
    const { record: hub } = await cloud.enrolled(customer, 'hub');
    await cloud.enrolled(customer, 'connector');
    const all = () => [...keepings(cloud.inventory)];
    const before = all();
    // A connector brings a hub of its own.
    expect(before).to.have.length(2);
    const mine = before.find(({ hub: { machine } }) => machine.equals(uuidBytes(hub.id)));
    expect(mine).to.deep.equal({
      hub: { customer: uuidBytes(customer), machine: uuidBytes(hub.id) },
      retention: DEFAULT_RETENTION,
    });
    const pass = keepings(cloud.inventory);
    const first = pass.next().value;
    await cloud.inventory.customers.update(customer, { rawRetentionMs: days(90) });
    const second = pass.next().value;
    expect(first?.retention).to.deep.equal(DEFAULT_RETENTION);
    expect(second?.retention, 'in the middle of a pass').to.deep.equal({ ...DEFAULT_RETENTION, raw: days(90) });
    await cloud.inventory.machines.retire(hub.id);
    expect(all()).to.have.length(2);
  });

  /** Batches that are left of a hub with old readings, when more is to be kept from the turn of the hub before it on. */
  async function leftOf(asPass: (hubs: Iterable<Keeping>) => Iterable<Keeping>): Promise<number> {
    const clock = new FakeClock();
    const store = new MemoryStore();
    const telemetry = new TelemetryStore(store);
    const old = { sensor: 1, takenAt: epochMs(clock.now() - days(50)), state: State.OK, message: '', values: [] };
    await telemetry.add(new WrittenLog([{ number: 0, readings: [old] }]).batch(0, 1));
    const retention = new BackgroundRetention({
      ...{ store, ledger: telemetry.ledger, turns: new SerialByKey(), clock, isBusy: () => false },
      log: silentLogger,
    });
    let raw = days(30);
    function* hubs() {
      yield { hub: { ...HUB, machine: Buffer.alloc(16, 0x7f) }, retention: { ...DEFAULT_RETENTION, raw } };
      yield { hub: HUB, retention: { ...DEFAULT_RETENTION, raw } };
    }
    const { entries } = store;
    // The first one's turn.
    store.entries = (range) => {
      raw = days(90);
      return entries.call(store, range);
    };
    await retention.once(asPass(hubs()), new AbortController().signal);
    return (await telemetry.contents()).batches;
  }

  it('is heard in the middle of a pass', async () => {
    expect(await leftOf((hubs) => hubs)).to.equal(1);
    // As it was when the pass began (negative control).
    expect(await leftOf((hubs) => [...hubs])).to.equal(0);
  });
});
