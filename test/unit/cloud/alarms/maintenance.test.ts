// Maintenance, acknowledgement, silence, deferral: alarms are raised all the same, and told when it is time.
import { expect } from 'chai';
import { Cron } from 'croner';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { NewMaintenance } from '../../../../src/cloud/alarms/maintenance.js';
import { CUSTOMER, Observed } from './support.js';

const { OK, WARNING, CRITICAL } = State;
const bad = (state: State) => [state, state, state];
const remark = { by: 'somebody', atMs: 1, comment: '' };
const HOUR = 3_600_000;

describe('alarms: maintenance', () => {
  let mesh: Observed;
  beforeEach(async () => {
    mesh = await Observed.start();
    await mesh.channel();
  });
  afterEach(() => mesh[Symbol.asyncDispose]());

  const hubOf = (n: number, connector = '') => {
    const hub = mesh.machine(n, 'hub');
    mesh.sensor(hub, 1);
    mesh.up(hub, connector);
    return hub;
  };
  const plan = (more: Partial<NewMaintenance>) => {
    const fromMs = mesh.clock.now();
    const usual = { customerId: CUSTOMER, comment: '', fromMs, untilMs: fromMs + HOUR, planned: remark };
    return mesh.monitoring.maintenances.plan({ ...usual, ...more });
  };
  const told = () => mesh.notices().map(({ notice, alarm }) => `${notice} ${alarm.severity}`);

  it('tells at its end of what is still open, and never of what is not', async () => {
    const [first, second] = [hubOf(1), hubOf(2)];
    await plan({});
    await mesh.readings(first, 1, bad(CRITICAL));
    await mesh.readings(second, 1, bad(CRITICAL));
    expect(mesh.open()).to.have.length(2);
    await mesh.readings(second, 1, [OK]);
    expect(told()).to.deep.equal([]);
    for (let i = 0; i < 60; i++) {
      await mesh.readings(first, 1, [CRITICAL]);
      await mesh.readings(second, 1, [OK]);
      await mesh.pass(60);
    }
    await mesh.pass(1);
    expect(told()).to.deep.equal(['raised critical']);
    expect([...mesh.monitoring.maintenances.all()], 'and is forgotten').to.deep.equal([]);
  });

  it('covers a machine, a connector with its hubs and its own, or a customer', async () => {
    const connector = mesh.machine(1, 'connector', { companionId: mesh.machine(2, 'hub') });
    mesh.machine(2, 'hub', { companionId: connector });
    mesh.up(connector);
    const [embedded, behind] = [hubOf(2), hubOf(3, connector)];
    const elsewhere = hubOf(4);
    const covered = () => [connector, embedded, behind, elsewhere].map((id) => mesh.monitoring.maintenances.covers(id));
    const { id } = await plan({ machineId: connector });
    expect(covered()).to.deep.equal([true, true, true, false]);
    await mesh.monitoring.maintenances.end(id);
    expect(covered()).to.deep.equal([false, false, false, false]);
    const own = await plan({ machineId: behind });
    expect(covered()).to.deep.equal([false, false, true, false]);
    await mesh.monitoring.maintenances.end(own.id);
    await plan({});
    expect(covered()).to.deep.equal([true, true, true, true]);
  });

  it('comes by a schedule, in its time zone, over a change of the clocks', async () => {
    const hub = hubOf(1);
    // 2026-01-01T00:00Z. Berlin is an hour ahead, and two from the 29th of March on.
    const schedule = { cron: '0 3 * * 0', timeZone: 'Europe/Berlin', durationMs: 2 * HOUR };
    const { untilMs: _, ...planned } = await plan({ schedule });
    await mesh.monitoring.journal.transact(() => mesh.monitoring.journal.tables.maintenances.put(planned));
    const at = (iso: string) => {
      mesh.clock.jumpWall(Date.parse(iso) - mesh.clock.now());
      mesh.monitoring.maintenances.sweep();
      return mesh.monitoring.maintenances.covers(hub);
    };
    expect(at('2026-01-04T01:59:59Z')).to.equal(false);
    expect(at('2026-01-04T02:00:00Z')).to.equal(true);
    expect(at('2026-01-04T03:59:59Z')).to.equal(true);
    expect(at('2026-01-04T04:00:00Z')).to.equal(false);
    expect(at('2026-04-05T00:59:59Z')).to.equal(false);
    expect(at('2026-04-05T01:00:00Z')).to.equal(true);
    expect(at('2026-04-06T01:00:00Z'), 'on Mondays').to.equal(false);
  });

  it('looks for the next beginning once, not each second', async () => {
    const hub = hubOf(1);
    const schedule = { cron: '* * * * *', timeZone: 'Pacific/Apia', durationMs: 30_000 };
    for (let i = 0; i < 20; i++) await plan({ untilMs: mesh.clock.now() + 100 * HOUR, schedule });
    const { nextRun } = Cron.prototype;
    let looks = 0;
    Cron.prototype.nextRun = function (...args) {
      looks++;
      return nextRun.apply(this, args);
    };
    try {
      let covered = 0;
      for (let second = 0; second < 600; second++) {
        await mesh.pass(1);
        if (mesh.monitoring.maintenances.covers(hub)) covered++;
      }
      expect(covered).to.be.within(299, 301);
      expect(looks).to.be.below(20 * 12);
    } finally {
      Cron.prototype.nextRun = nextRun;
    }
  });

  it('stands again after a restart', async () => {
    const hub = hubOf(1);
    await plan({ machineId: hub });
    await mesh.restart();
    mesh.up(hub);
    await mesh.readings(hub, 1, bad(CRITICAL));
    expect(mesh.open()).to.have.length(1);
    expect(told()).to.deep.equal([]);
  });

  it('says nothing of an acknowledged alarm but that it gets worse, and its end', async () => {
    const hub = hubOf(1);
    await mesh.readings(hub, 1, bad(WARNING));
    await mesh.monitoring.alarms.acknowledge(mesh.open()[0]?.id ?? '', remark);
    for (const state of [State.UNKNOWN, CRITICAL, WARNING]) await mesh.readings(hub, 1, [state]);
    const [alarm] = mesh.open();
    expect(alarm).to.include({ severity: 'warning' });
    expect(alarm?.told).to.deep.include({ severity: 'critical' });
    await mesh.readings(hub, 1, [OK]);
    expect(mesh.open()).to.deep.equal([]);
  });

  it('loses nothing of an acknowledgement when somebody acknowledges again', async () => {
    const hub = hubOf(1);
    await mesh.readings(hub, 1, bad(WARNING));
    const id = mesh.open()[0]?.id ?? '';
    const acknowledge = (by: string, comment: string) =>
      mesh.monitoring.alarms.acknowledge(id, { by, atMs: mesh.clock.now(), comment });
    const first = await acknowledge('Eve', 'on my way');
    expect(first.acknowledgement).to.include({ by: 'Eve', comment: 'on my way' });
    expect(await acknowledge('Bob', '')).to.deep.equal(first);
    const last = await acknowledge('Bob', 'I am nearer');
    expect(last.acknowledgement).to.include({ by: 'Bob', comment: 'I am nearer' });
    expect(last.comments).to.deep.equal([first.acknowledgement]);
  });

  it('says nothing of a silenced alarm until then', async () => {
    const hub = hubOf(1);
    await mesh.readings(hub, 1, bad(WARNING));
    await mesh.monitoring.alarms.silence(mesh.open()[0]?.id ?? '', mesh.clock.now() + 30_000);
    await mesh.readings(hub, 1, [CRITICAL]);
    await mesh.pass(29);
    expect(mesh.open()[0]?.told).to.deep.include({ severity: 'warning' });
    await mesh.pass(2);
    expect(mesh.open()[0]?.told).to.deep.include({ severity: 'critical' });
  });

  it('never tells what was over before it was to be told', async () => {
    await mesh.channel({ deferMs: 60_000 });
    const hub = hubOf(1);
    await mesh.readings(hub, 1, bad(WARNING));
    expect(mesh.notices()).to.have.length(2);
    await mesh.readings(hub, 1, [OK]);
    expect(mesh.notices()).to.deep.equal([]);
  });

  it('refuses to change what is closed, and what there is not', async () => {
    const hub = hubOf(1);
    await mesh.readings(hub, 1, bad(WARNING));
    const id = mesh.open()[0]?.id ?? '';
    await mesh.readings(hub, 1, [OK]);
    const { alarms } = mesh.monitoring;
    const codes = [alarms.acknowledge(id, remark), alarms.silence(id, 1), alarms.comment('none', remark)];
    for (const [i, change] of codes.entries()) {
      const thrown = await change.catch((fault) => fault);
      expect(thrown.code).to.equal(i < 2 ? 'inventory.unsuitable' : 'inventory.not-found');
    }
    expect((await alarms.comment(id, { ...remark, comment: 'it was the cable' })).comments).to.have.length(1);
  });
});
