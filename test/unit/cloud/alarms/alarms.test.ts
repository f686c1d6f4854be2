// The right alarm, once: one root cause is one alarm, a restart is none, and what comes late raises nothing.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { MOST_KEPT } from '../../../../src/cloud/alarms/alarms.js';
import { epochMs, milliseconds } from '../../../../src/kernel/duration.js';
import { INTERVAL, Observed } from './support.js';

const { OK, WARNING, CRITICAL } = State;
const CROWD = 500;

describe('alarms', function () {
  this.timeout(20_000);
  let mesh: Observed;
  beforeEach(async () => {
    mesh = await Observed.start();
  });
  afterEach(() => mesh[Symbol.asyncDispose]());

  const crowd = () => {
    const connector = mesh.machine(1, 'connector');
    const hubs = Array.from({ length: CROWD }, (_, i) => mesh.machine(2 + i, 'hub'));
    mesh.up(connector);
    for (const hub of hubs) mesh.up(hub, connector);
    return { connector, hubs };
  };
  const watched = () => {
    const hub = mesh.machine(1, 'hub');
    mesh.sensor(hub, 1);
    mesh.up(hub);
    return hub;
  };
  const kinds = () => mesh.open().map(({ cause, severity }) => `${cause} ${severity}`);

  describe('of machines', () => {
    it(`raises one for a connector that is killed with ${CROWD} hubs behind it`, async () => {
      const { connector, hubs } = crowd();
      await mesh.channel();
      await mesh.pass(60);
      mesh.down(connector);
      for (const hub of hubs) mesh.down(hub);
      await mesh.pass(600);
      expect(mesh.all().map(({ machineId, cause }) => [machineId, cause])).to.deep.equal([[connector, 'lost']]);
      expect(mesh.notices().map(({ notice }) => notice)).to.deep.equal(['raised']);
      expect(new Set(hubs.map((hub) => mesh.state(hub)))).to.deep.equal(new Set(['UNREACHABLE']));
      expect(mesh.presence.unreachableBehind(connector, () => true)).to.equal(CROWD);
    });

    it('raises none when that connector comes back, and its hubs after it', async () => {
      const { connector, hubs } = crowd();
      await mesh.pass(60);
      mesh.down(connector);
      for (const hub of hubs) mesh.down(hub);
      await mesh.pass(600);
      mesh.up(connector);
      for (const [i, hub] of hubs.entries()) {
        if (i % 10 === 0) await mesh.pass(1);
        mesh.up(hub, connector);
      }
      await mesh.pass(600);
      expect(mesh.all().map(({ machineId, cause }) => [machineId, cause])).to.deep.equal([[connector, 'lost']]);
      expect(mesh.open()).to.deep.equal([]);
    });

    it('raises one for each hub when it is not the connector (the control)', async () => {
      const { hubs } = crowd();
      await mesh.pass(60);
      for (const hub of hubs) mesh.down(hub);
      await mesh.pass(600);
      expect(mesh.open()).to.have.length(CROWD);
    });

    it(`raises none when the cloud starts again under ${CROWD} hubs`, async () => {
      const { connector, hubs } = crowd();
      await mesh.pass(60);
      await mesh.restart(30);
      await mesh.pass(100);
      mesh.up(connector);
      for (const [i, hub] of hubs.entries()) {
        if (i % 50 === 0) await mesh.pass(5);
        mesh.up(hub, connector);
      }
      await mesh.pass(600);
      expect(mesh.all()).to.deep.equal([]);
    });

    it('raises one for whoever does not come back after a start, and for the connector only if that is gone, too', async () => {
      const { connector, hubs } = crowd();
      await mesh.pass(60);
      await mesh.restart();
      await mesh.pass(600);
      expect(mesh.all().map(({ machineId }) => machineId)).to.deep.equal([connector]);
      mesh.up(connector);
      for (const hub of hubs.slice(1)) mesh.up(hub, connector);
      await mesh.pass(300);
      expect(mesh.open().map(({ machineId }) => machineId)).to.deep.equal([hubs[0]]);
    });

    it('closes it when the machine is back, and keeps it over a restart until then', async () => {
      const hub = watched();
      mesh.down(hub);
      await mesh.pass(60);
      const [alarm] = mesh.open();
      await mesh.restart();
      await mesh.pass(60);
      expect(mesh.open().map(({ id }) => id)).to.deep.equal([alarm?.id]);
      mesh.up(hub);
      await mesh.pass(1);
      expect(mesh.open()).to.deep.equal([]);
    });

    it('raises none for one that was shut down, one that may sleep, and one that is retired', async () => {
      const hubs = [1, 2, 3].map((n) => mesh.machine(n, 'hub', n === 2 ? { maySleep: true } : {}));
      for (const hub of hubs) mesh.up(hub);
      await mesh.pass(10);
      mesh.machine(3, 'hub', { retiredAtMs: 1 });
      for (const [i, hub] of hubs.entries()) mesh.down(hub, i === 0 ? 'shut-down' : 'gone');
      await mesh.pass(600);
      expect(mesh.all()).to.deep.equal([]);
      // And the one that may not sleep any more is lost.
      mesh.machine(2, 'hub', { maySleep: false });
      await mesh.pass(1);
      expect(mesh.open()).to.have.length(1);
    });

    it('raises one for a machine in quarantine, until it is released', async () => {
      watched();
      mesh.machine(1, 'hub', { quarantined: 'it was cloned' });
      await mesh.pass(1);
      expect(mesh.open()).to.have.length(1);
      expect(mesh.open()[0]).to.include({ cause: 'quarantined', severity: 'critical', message: 'it was cloned' });
      mesh.machine(1, 'hub', { quarantined: undefined as never });
      await mesh.pass(1);
      expect(mesh.open()).to.deep.equal([]);
    });

    it('says of a hub that went direct that it is alive, and raises the connector alone', async () => {
      const { connector, hubs } = crowd();
      await mesh.pass(60);
      mesh.down(connector);
      for (const hub of hubs) mesh.down(hub);
      await mesh.pass(40);
      mesh.up(hubs[0] ?? '');
      await mesh.pass(300);
      expect(mesh.presence.of(hubs[0] ?? '')).to.include({ connectorLost: true });
      expect(mesh.state(hubs[0] ?? '')).to.equal('ONLINE');
      expect(mesh.all().map(({ machineId }) => machineId)).to.deep.equal([connector]);
    });
  });

  describe('of sensors', () => {
    it('raises one when bad readings are believed, changes it with the severity, and closes it with the first good one', async () => {
      const hub = watched();
      await mesh.readings(hub, 1, [OK, WARNING, WARNING]);
      expect(kinds()).to.deep.equal([]);
      await mesh.readings(hub, 1, [WARNING]);
      expect(kinds()).to.deep.equal(['sensor warning']);
      const [alarm] = mesh.open();
      await mesh.readings(hub, 1, [CRITICAL]);
      expect(kinds()).to.deep.equal(['sensor critical']);
      expect(mesh.open()[0]).to.include({ id: alarm?.id, message: `state ${CRITICAL}` });
      await mesh.readings(hub, 1, [OK]);
      expect(mesh.open()).to.deep.equal([]);
      expect(mesh.all()).to.have.length(1);
    });

    it('makes one notice of 100 flips in a minute', async () => {
      const hub = watched();
      await mesh.channel();
      const flips = Array.from({ length: 100 }, (_, i) => (i % 2 ? CRITICAL : OK));
      for (let i = 0; i < 100; i += 5) {
        await mesh.readings(hub, 1, flips.slice(i, i + 5), (k) => k / 2);
        await mesh.pass(3);
      }
      expect(kinds()).to.deep.equal(['flapping warning']);
      expect(mesh.notices().map(({ notice }) => notice)).to.deep.equal(['raised']);
      for (let i = 0; i < 20; i++) await mesh.readings(hub, 1, [OK]);
      // What nobody has been told yet need not be taken back.
      expect(mesh.notices()).to.deep.equal([]);
      expect(mesh.all()).to.have.length(1);
    });

    it('makes many of as many flips that are far apart (the control)', async () => {
      const hub = watched();
      for (let i = 0; i < 10; i++) {
        await mesh.readings(
          hub,
          1,
          Array.from({ length: 20 }, () => (i % 2 ? CRITICAL : OK)),
        );
      }
      expect(mesh.all()).to.have.length(5);
    });

    it('keeps the newest of as many as a hub can think of, and all that are open', async () => {
      const hub = watched();
      const other = mesh.machine(2, 'hub');
      mesh.up(other);
      mesh.sensor(other, 1);
      mesh.sensor(hub, 2);
      await mesh.readings(other, 1, [CRITICAL, CRITICAL, CRITICAL]);
      await mesh.readings(other, 1, [OK]);
      await mesh.readings(hub, 2, [CRITICAL, CRITICAL, CRITICAL]);
      // Twenty readings that are alike, and no sensor flaps.
      for (let i = 0; i <= 2 * (MOST_KEPT + 100); i++) {
        await mesh.clock.advance(milliseconds(1));
        await mesh.readings(hub, 1, Array(20).fill(i % 2 ? OK : CRITICAL));
      }
      const all = mesh.all();
      const newest = all.reduce((a, b) => (a.id > b.id ? a : b));
      expect(all.length).to.be.within(1_500, MOST_KEPT);
      expect(all.filter(({ machineId }) => machineId === other)).to.have.length(1);
      expect(
        mesh
          .open()
          .map(({ sensor }) => sensor)
          .sort(),
      ).to.deep.equal([1, 2]);
      expect(newest).to.include({ sensor: 1 }).and.not.have.property('closedAtMs');
    });

    it('raises none of 1,000,000 late readings across a critical phase that has ended', async () => {
      const hub = watched();
      await mesh.readings(hub, 1, [OK]);
      const total = 1_000_000;
      const first = mesh.reserve(hub, total);
      // Two days without a way out, one reading each 0.17 s; the middle third is critical. Newest first, as hubs send it.
      const takenAt = (i: number) => epochMs(mesh.clock.now() - 172_800_000 + i * 172);
      await mesh.readings(hub, 1, [OK]);
      let readings = 0;
      const batch = async (from: number, count: number) => {
        const flushes = Array.from({ length: count }, (_, k) => {
          const i = from + k;
          const state = i > total / 3 && i < (2 * total) / 3 ? CRITICAL : OK;
          return { number: first + i, readings: [{ sensor: 1, takenAt: takenAt(i), state, message: '', values: [] }] };
        });
        await mesh.stored(hub, flushes);
        readings += count;
      };
      for (let from = total - 4_000; from >= 0; from -= 4_000) await batch(from, 4_000);
      expect(readings).to.equal(total);
      await mesh.pass(5);
      expect(mesh.all()).to.deep.equal([]);
    });

    it('raises none of late readings in whatever order they come, but one of the newest state (the control)', async () => {
      const hub = watched();
      await mesh.readings(hub, 1, [OK]);
      // An hour late, oldest first, as a slow connector would bring them: no newer reading is there yet.
      await mesh.readings(
        hub,
        1,
        Array.from({ length: 60 }, () => CRITICAL),
        (i) => -7_200 + i * 60,
      );
      expect(mesh.open()).to.deep.equal([]);
      // Three of now: it really is.
      await mesh.readings(hub, 1, [CRITICAL, CRITICAL, CRITICAL], (i) => i - 3);
      expect(kinds()).to.deep.equal(['sensor critical']);
    });

    it('tells only what has changed when a hub is back: not what is as it was before', async () => {
      const hub = watched();
      await mesh.channel();
      await mesh.readings(hub, 1, [CRITICAL, CRITICAL, CRITICAL]);
      await mesh.readings(
        hub,
        1,
        Array.from({ length: 60 }, () => OK),
        (i) => -7_200 + i * 60,
      );
      await mesh.readings(hub, 1, [CRITICAL]);
      expect(mesh.notices().map(({ notice }) => notice)).to.deep.equal(['raised']);
    });

    it("reads a hub's clock with what it is off", async () => {
      const hub = watched();
      const wrong = 3 * 3_600;
      mesh.presence.heartbeat(hub, { queuedReadings: 0, queuedAgeMs: 0, clockMs: mesh.clock.now() - wrong * 1_000 });
      await mesh.readings(hub, 1, [CRITICAL, CRITICAL, CRITICAL], () => -wrong);
      expect(kinds()).to.deep.equal(['sensor critical']);
    });

    it('raises one when readings stop although the hub is there, and none when it is not', async () => {
      const hub = watched();
      const other = mesh.machine(2, 'hub', { maySleep: true });
      mesh.sensor(other, 1);
      mesh.up(other);
      await mesh.readings(hub, 1, [OK]);
      await mesh.readings(other, 1, [OK]);
      mesh.down(other);
      await mesh.pass(180);
      expect(kinds()).to.deep.equal([]);
      await mesh.pass(30);
      expect(kinds()).to.deep.equal(['stale unknown']);
      await mesh.readings(hub, 1, [OK]);
      expect(mesh.open()).to.deep.equal([]);
      // A new sensor that never says anything, likewise.
      mesh.sensor(hub, 2);
      for (let i = 0; i < 8; i++) {
        await mesh.readings(hub, 1, [OK]);
        await mesh.pass(INTERVAL / 1_000);
      }
      expect(mesh.open()).to.have.length(1);
      expect(mesh.open()[0]).to.include({ sensor: 2, cause: 'stale' });
    });

    it('closes what is paused or removed', async () => {
      const hub = watched();
      mesh.sensor(hub, 2);
      for (const sensor of [1, 2]) await mesh.readings(hub, sensor, [CRITICAL, CRITICAL, CRITICAL]);
      expect(mesh.open()).to.have.length(2);
      mesh.sensor(hub, 1, { paused: true });
      mesh.sensor(hub, 2, null);
      await mesh.pass(1);
      expect(mesh.open()).to.deep.equal([]);
      await mesh.pass(600);
      expect(mesh.open()).to.deep.equal([]);
    });

    it('keeps one over a restart, and judges by what comes then', async () => {
      const hub = watched();
      await mesh.readings(hub, 1, [CRITICAL, CRITICAL, CRITICAL]);
      await mesh.restart();
      mesh.up(hub);
      await mesh.pass(10);
      expect(kinds()).to.deep.equal(['sensor critical']);
      await mesh.readings(hub, 1, [WARNING]);
      expect(kinds()).to.deep.equal(['sensor warning']);
      await mesh.readings(hub, 1, [OK]);
      expect(mesh.open()).to.deep.equal([]);
      expect(mesh.all()).to.have.length(1);
    });

    it('puts right what could not be written down', async () => {
      const hub = watched();
      mesh.store.failNextWrite();
      await mesh.readings(hub, 1, [CRITICAL, CRITICAL, CRITICAL]);
      await mesh.pass(3);
      expect(kinds()).to.deep.equal(['sensor critical']);
    });
  });
});
