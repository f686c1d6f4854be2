// The model: what is durable is visible and survives; what failed is neither. Desired-state versions and sensor numbers
// only ever rise.
import { expect } from 'chai';
import fc from 'fast-check';
import type { NewSensor } from '../../../../src/cloud/inventory/sensors.js';
import { SessionPort } from '../../../../src/cloud/inventory/session-port.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { testSeed } from '../../../support/seeded-random.js';
import { codeOf, TestCloud } from './fixture.js';

const CPU: NewSensor = {
  kind: 'cpu',
  settings: {},
  intervalMs: 60_000,
  timeoutMs: 10_000,
  thresholds: [],
  paused: false,
};

describe('inventory: persistence', () => {
  it('has everything again after a restart', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('Müller & Söhne');
    const { record, embedded } = await cloud.enrolled(customer.id, 'connector');
    await cloud.inventory.reports.setLanAddresses(record.id, ['10.0.0.2:11000', '10.0.0.1:11000']);
    const hubId = embedded?.id ?? '';
    await cloud.inventory.reports.applied(hubId, {
      version: 6,
      runningVersion: 5,
      error: 'no',
      failures: [{ sensor: 3, error: 'why' }],
      secretFailures: [],
    });
    const before = cloud.inventory.machines.desiredState(hubId);
    const machine = cloud.machine(hubId);
    await cloud.restart();
    expect(cloud.inventory.machines.desiredState(hubId)).to.deep.equal(before);
    expect(cloud.machine(hubId)).to.deep.equal(machine);
    expect(machine.running.failures).to.deep.equal([{ sensor: 3, error: 'why' }]);
    expect(before?.connectors).to.deep.equal(['10.0.0.1:11000', '10.0.0.2:11000']);
    expect([...cloud.inventory.customers.all()]).to.deep.equal([customer]);
  });

  it('finds customers without reading what lies between their tables', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const other = await cloud.customer('two');
    // What the telemetry side writes for the same customer is none of the inventory's business.
    const key = Buffer.concat([Buffer.from(customer.id.replaceAll('-', ''), 'hex'), Buffer.of(0x12, 1, 2, 3)]);
    await cloud.store.commit(() => [{ put: key, value: Buffer.from('not JSON') }]);
    await cloud.restart();
    expect([...cloud.inventory.customers.all()].map(({ id }) => id).sort()).to.deep.equal(
      [customer.id, other.id].sort(),
    );
  });

  it('says which record it cannot read', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const key = Buffer.concat([Buffer.from(customer.id.replaceAll('-', ''), 'hex'), Buffer.of(0x01)]);
    const broken = cloud.store.restarted();
    await broken.commit(() => [{ put: key, value: Buffer.from(JSON.stringify({ ...customer, v: 2 })) }]);
    expect(await codeOf(cloud.restart(broken))).to.equal('inventory.damaged');
    await cloud.restart(new MemoryStore());
  });

  it('shows nothing that is not durable, and forgets what failed', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    cloud.store.failNextWrite();
    const failing = cloud.inventory.customers.update(customer.id, { name: 'changed' });
    // Both names are free only if the first change does not count.
    const code = await codeOf(failing);
    expect(code).to.equal('storage.write-failed');
    expect(cloud.inventory.customers.get(customer.id)?.name).to.equal('one');
    expect(await codeOf(cloud.customer('changed'))).to.equal('no fault');
    expect(await codeOf(cloud.customer('one'))).to.equal('inventory.exists');
  });

  it('lets a transaction see what another one is about to write, but no reader', async () => {
    let release = () => {};
    let hold: Promise<void> | undefined;
    await using cloud = await TestCloud.start();
    await cloud.restart(cloud.store.restarted({ beforeWrite: async () => hold }));
    hold = new Promise((resolve) => {
      release = resolve;
    });
    const first = cloud.customer('same name');
    const second = codeOf(cloud.customer('same name'));
    await new Promise((resolve) => setImmediate(resolve));
    const third = codeOf(cloud.customer('same name'));
    expect([...cloud.inventory.customers.all()]).to.have.length(0);
    release();
    await first;
    expect(await second).to.equal('inventory.exists');
    expect(await third).to.equal('inventory.exists');
    expect([...cloud.inventory.customers.all()]).to.have.length(1);
  });
});

describe('inventory: desired state', () => {
  it('begins a hub with the default sensors, numbered by version', async () => {
    await using cloud = await TestCloud.start();
    const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const state = cloud.inventory.machines.desiredState(record.id);
    expect(state?.sensors.map(({ number, kind }) => [number, kind])).to.deep.equal([
      [1, 'cpu'],
      [2, 'memory'],
      [3, 'disk'],
      [4, 'network'],
      [5, 'load'],
    ]);
    expect(state).to.include({ version: 5, directAllowed: false, fallbackAfterMs: 300_000, displayName: 'srv1' });
  });

  it('rises by exactly what changes it', async () => {
    await using cloud = await TestCloud.start();
    const { customers, machines, sensors, reports } = cloud.inventory;
    const customer = await cloud.customer('one');
    const stranger = await cloud.enrolled((await cloud.customer('two')).id, 'hub');
    const { record: hub } = await cloud.enrolled(customer.id, 'hub');
    const { record: connector, embedded } = await cloud.enrolled(customer.id, 'connector');
    const told: string[] = [];
    machines.onDesiredStateChanged((id) => told.push(id));
    const changes: [string, number, () => Promise<unknown>][] = [
      ['customer name', 0, () => customers.update(customer.id, { name: 'uno' })],
      ['policy', 1, () => customers.update(customer.id, { directAllowed: true })],
      ['the same policy', 0, () => customers.update(customer.id, { directAllowed: true })],
      ['an override to the same', 0, () => machines.update(hub.id, { directAllowed: true })],
      ['policy under an override', 0, () => customers.update(customer.id, { directAllowed: false })],
      ['an override to something else', 1, () => machines.update(hub.id, { directAllowed: false })],
      ['fallback', 1, () => customers.update(customer.id, { fallbackAfterMs: 60_000 })],
      ['display name', 1, () => machines.update(hub.id, { name: 'db1' })],
      ['new addresses', 1, () => reports.setLanAddresses(connector.id, ['10.0.0.1:11000'])],
      [
        'what is no address',
        0,
        () => reports.setLanAddresses(connector.id, ['10.0.0.1:11000', 'x', `${'y'.repeat(300)}:1`]),
      ],
      ['the same addresses', 0, () => reports.setLanAddresses(connector.id, ['10.0.0.1:11000', '10.0.0.1:11000'])],
      ['a sensor', 1, () => sensors.create(hub.id, CPU)],
      ['a sensor that changes', 1, () => sensors.update(`${hub.id}/1`, { paused: true })],
      ['a sensor that does not', 0, () => sensors.update(`${hub.id}/1`, { paused: true })],
      ['a sensor less', 1, () => sensors.remove(`${hub.id}/1`)],
      [
        'what it reports',
        0,
        () => reports.applied(hub.id, { version: 9, runningVersion: 9, error: '', failures: [], secretFailures: [] }),
      ],
      ['quarantine', 0, () => reports.setQuarantined(hub.id, 'cloned')],
      ['a lost connector', 1, () => machines.retire(connector.id)],
    ];
    for (const [what, by, change] of changes) {
      const before = cloud.machine(hub.id).configVersion;
      told.length = 0;
      await change();
      expect(cloud.machine(hub.id).configVersion - before, what).to.equal(by);
      expect(told.filter((id) => id === hub.id).length, what).to.equal(by);
    }
    expect(cloud.machine(stranger.record.id).configVersion, "another customer's hub").to.equal(5);
    expect(cloud.machine(embedded?.id ?? '').retiredAtMs).to.be.a('number');
    expect(cloud.inventory.machines.desiredState(hub.id)?.connectors).to.deep.equal([]);
  });

  it('tells of the end of a quarantine, because what was held back is now due', async () => {
    await using cloud = await TestCloud.start();
    const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    await cloud.inventory.reports.setQuarantined(record.id, 'cloned');
    const told: string[] = [];
    const remove = cloud.inventory.machines.onDesiredStateChanged((id) => told.push(id));
    await cloud.inventory.reports.setQuarantined(record.id, undefined);
    expect(told).to.deep.equal([record.id]);
    remove();
    await cloud.inventory.machines.update(record.id, { name: 'x' });
    expect(told).to.have.length(1);
  });

  it('goes on above what a hub has seen', async () => {
    await using cloud = await TestCloud.start();
    const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const port = new SessionPort(cloud.inventory);
    await port.raiseConfigVersion(record.id, 5);
    expect(cloud.machine(record.id).configVersion).to.equal(5);
    await port.raiseConfigVersion(record.id, 40);
    expect(cloud.machine(record.id).configVersion).to.equal(41);
    const sensor = await cloud.inventory.sensors.create(record.id, CPU);
    expect(sensor.number).to.equal(42);
    expect(await codeOf(port.raiseConfigVersion(record.id, 2 ** 40))).to.equal('inventory.invalid');
    expect(port.desiredState(record.id)?.version).to.equal(42);
  });

  it(`never goes back and never gives a number twice, whatever happens (seed ${testSeed})`, async () => {
    const step = fc.oneof(
      fc.constant({ do: 'add' as const }),
      fc.record({ do: fc.constant('remove' as const), index: fc.nat(9) }),
      fc.record({ do: fc.constant('raise' as const), by: fc.nat(9) }),
      fc.constant({ do: 'fail' as const }),
      fc.constant({ do: 'restart' as const }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        await using cloud = await TestCloud.start();
        const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
        const given = new Set([1, 2, 3, 4, 5]);
        let version = 5;
        for (const one of steps) {
          const { sensors, reports } = cloud.inventory;
          const there = [...sensors.of(record.id)];
          if (one.do === 'add') {
            const { number } = await sensors.create(record.id, CPU);
            expect(given.has(number)).to.equal(false);
            given.add(number);
            expect(cloud.machine(record.id).configVersion).to.equal(number);
          } else if (one.do === 'remove') {
            const victim = there[one.index % Math.max(1, there.length)];
            if (victim) await sensors.remove(`${record.id}/${victim.number}`);
          } else if (one.do === 'raise') {
            await reports.raiseConfigVersion(record.id, version + one.by);
          } else if (one.do === 'fail') {
            cloud.store.failNextWrite();
            expect(await codeOf(sensors.create(record.id, CPU))).to.equal('storage.write-failed');
          } else {
            await cloud.restart();
          }
          const now = cloud.machine(record.id).configVersion;
          expect(now).to.be.at.least(version);
          version = now;
        }
      }),
      { seed: testSeed, numRuns: 15 },
    );
  });
});

describe('inventory: at the same time', () => {
  it('gives sensors numbers of their own', async () => {
    await using cloud = await TestCloud.start();
    const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const adding = Array.from({ length: 20 }, () => cloud.inventory.sensors.create(record.id, CPU));
    const added = await Promise.all(adding);
    expect(new Set(added.map(({ number }) => number)).size).to.equal(20);
    expect(new Set(added.map(({ name }) => name)).size).to.equal(20);
    expect(cloud.machine(record.id).configVersion).to.equal(25);
  });

  it('loses no change of one record to another', async () => {
    await using cloud = await TestCloud.start();
    const { id: customerId } = await cloud.customer('one');
    const { record } = await cloud.enrolled(customerId, 'hub');
    const { customers, machines, reports } = cloud.inventory;
    await Promise.all([
      machines.update(record.id, { name: 'new name' }),
      reports.setQuarantined(record.id, 'cloned'),
      customers.update(customerId, { directAllowed: true }),
      reports.applied(record.id, { version: 5, runningVersion: 5, error: '', failures: [], secretFailures: [] }),
    ]);
    await cloud.restart();
    const machine = cloud.machine(record.id);
    expect(machine).to.include({ name: 'new name', quarantined: 'cloned', configVersion: 7 });
    expect(machine.running.version).to.equal(5);
  });
});

describe('inventory: what sessions ask', () => {
  it('knows a machine by its key, and its keys as objects made once', async () => {
    await using cloud = await TestCloud.start();
    const { machine, record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const port = new SessionPort(cloud.inventory);
    expect(port.machineByKey(machine.key.publicKey.keyId)?.id).to.equal(record.id);
    expect(port.machineByKey(Buffer.alloc(8))).to.equal(undefined);
    const [key] = port.verifyKeys(record.id);
    expect(key?.equals(machine.key.publicKey)).to.equal(true);
    await port.recordApplied(record.id, { version: 5, runningVersion: 5, error: '', failures: [], secretFailures: [] });
    expect(port.verifyKeys(record.id)[0]).to.equal(key);
    expect(port.verifyKeys('unknown')).to.deep.equal([]);
    expect(port.desiredState('unknown')).to.equal(undefined);
  });

  it('does not write what is no news', async () => {
    await using cloud = await TestCloud.start();
    const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const applied = { version: 5, runningVersion: 5, error: '', failures: [], secretFailures: [] };
    await cloud.inventory.reports.applied(record.id, applied);
    const { writes } = cloud.store;
    await cloud.inventory.reports.applied(record.id, applied);
    await cloud.inventory.reports.raiseConfigVersion(record.id, 5);
    expect(cloud.store.writes).to.equal(writes);
    await cloud.inventory.reports.applied(record.id, { ...applied, error: 'news' });
    expect(cloud.store.writes).to.equal(writes + 1);
  });

  it('keeps its pace with 10,000 hubs of one customer', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('large');
    const { record } = await cloud.enrolled(customer.id, 'hub');
    // Copies of one hub, written past the model, as a store would hold them.
    const id = (n: number) => `${record.id.slice(0, -8)}${n.toString(16).padStart(8, '0')}`;
    const key = (n: number) => Buffer.from(`${customer.id}02${id(n)}`.replaceAll('-', ''), 'hex');
    const value = (n: number) => {
      const keys = [{ ...record.keys[0], keyId: n.toString(16).padStart(16, '0') }];
      return Buffer.from(JSON.stringify({ ...record, id: id(n), keys }));
    };
    const full = cloud.store.restarted();
    await full.commit(() => Array.from({ length: 10_000 }, (_, n) => ({ put: key(n), value: value(n) })));
    await cloud.restart(full);
    let told = 0;
    cloud.inventory.machines.onDesiredStateChanged(() => told++);
    await cloud.inventory.customers.update(customer.id, { fallbackAfterMs: 60_000 });
    expect(told).to.equal(10_001);
    expect(cloud.inventory.machines.desiredState(id(9_999))).to.include({ version: 6, fallbackAfterMs: 60_000 });
  });
});
