// Who is how: a hub behind a dead connector is unreachable, never an alarm of its own.
import { expect } from 'chai';
import { MachineState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Path } from '../../../../gen/occmesh/link/v1/link.js';
import { Presence } from '../../../../src/cloud/sessions/presence.js';
import { LIVENESS_EDGES, type Liveness } from '../../../../src/cloud/states/liveness.js';
import { epochMs, seconds } from '../../../../src/kernel/duration.js';
import { IllegalTransition, StateMachine } from '../../../../src/kernel/machine.js';
import { FakeClock } from '../../../support/fake-clock.js';

const PATIENCE = seconds(45);

describe('sessions: presence', () => {
  let clock: FakeClock;
  let presence: Presence;
  /** Connectors that give a sign of life. */
  const alive = new Set<string>();
  beforeEach(() => {
    clock = new FakeClock();
    presence = new Presence(clock, PATIENCE);
    alive.clear();
  });

  const up = (id: string, connectorId = '') => {
    const path = id.startsWith('connector') ? Path.UNSPECIFIED : connectorId ? Path.CONNECTOR : Path.DIRECT;
    presence.up(id, { path, connectorId, software: 'x', clockMs: clock.now() });
  };
  const state = (id: string) => presence.of(id).state;
  const pass = async (s: number) => {
    // As the cloud does: a sweep each second.
    for (let i = 0; i < s; i++) {
      await clock.advance(seconds(1));
      for (const id of alive) presence.heartbeat(id, { queuedReadings: 0, queuedAgeMs: 0, clockMs: clock.now() });
      presence.sweep();
    }
  };

  it('knows nothing of who was never there', () => {
    expect(presence.of('hub')).to.include({ state: MachineState.NEVER_SEEN, lastSeenMs: 0, hubCount: 0 });
  });

  it('gives a hub its patience before it is lost', async () => {
    up('hub');
    presence.down('hub', 'gone');
    await pass(44);
    expect(state('hub')).to.equal(MachineState.ONLINE);
    await pass(1);
    expect(state('hub')).to.equal(MachineState.LOST);
    up('hub');
    expect(state('hub')).to.equal(MachineState.ONLINE);
  });

  it('does not call a hub lost that comes back in time, nor one that has said goodbye', async () => {
    up('hub');
    presence.down('hub', 'gone');
    await pass(44);
    up('hub', 'connector');
    await pass(100);
    expect(state('hub')).to.equal(MachineState.ONLINE);
    presence.down('hub', 'shut-down');
    await pass(1_000);
    expect(state('hub')).to.equal(MachineState.SHUT_DOWN);
  });

  for (const after of [0, 5, 30]) {
    it(`calls hubs unreachable and never lost when their connector dies ${after} s after them`, async () => {
      up('connector');
      for (const hub of ['a', 'b']) up(hub, 'connector');
      for (const hub of ['a', 'b']) presence.down(hub, 'gone');
      const seen = new Set<MachineState>();
      for (let s = 0; s < 200; s++) {
        if (s === after) presence.down('connector', 'gone');
        await pass(1);
        for (const hub of ['a', 'b']) seen.add(state(hub));
      }
      expect(seen).to.deep.equal(new Set([MachineState.ONLINE, MachineState.UNREACHABLE]));
      expect(state('connector')).to.equal(MachineState.LOST);
    });
  }

  it('calls a hub lost when its connector lives, or comes back without it and the hub has had time to', async () => {
    up('connector');
    alive.add('connector');
    up('hub', 'connector');
    presence.down('hub', 'gone');
    await pass(50);
    expect(state('hub')).to.equal(MachineState.LOST);
    alive.clear();
    presence.down('connector', 'gone');
    await pass(50);
    expect(state('hub')).to.equal(MachineState.UNREACHABLE);
    up('connector');
    alive.add('connector');
    await pass(6 * 45 - 1);
    expect(state('hub')).to.equal(MachineState.UNREACHABLE);
    await pass(1);
    expect(state('hub')).to.equal(MachineState.LOST);
  });

  for (const gone of [20, 44, 46, 300]) {
    it(`calls no hub lost that comes within a minute after its connector, which was gone for ${gone} s`, async () => {
      up('connector');
      const hubs = Array.from({ length: 60 }, (_, i) => `hub ${i}`);
      for (const hub of hubs) up(hub, 'connector');
      const seen = new Set<string>();
      presence.onChange((id, after) => seen.add(`${id.split(' ')[0]} ${after}`));
      for (const id of ['connector', ...hubs]) presence.down(id, 'gone');
      await pass(gone);
      up('connector');
      alive.add('connector');
      for (const hub of hubs) {
        await pass(1);
        up(hub, 'connector');
      }
      await pass(1_000);
      expect(seen).to.not.include('hub lost');
      presence.down('hub 0', 'gone');
      await pass(46);
      expect(state('hub 0'), 'one that goes later has no more time than ever').to.equal(MachineState.LOST);
    });
  }

  it('calls no hub lost before its connector was heard after the time of the hub was up', async () => {
    up('connector');
    up('hub', 'connector');
    presence.down('hub', 'gone');
    // Nothing comes from the connector: what is on its way may have the hub's sign of life with it.
    await pass(60);
    expect(state('hub')).to.equal(MachineState.ONLINE);
    presence.heartbeat('connector', { queuedReadings: 0, queuedAgeMs: 0, clockMs: clock.now() });
    await pass(1);
    expect(state('hub')).to.equal(MachineState.LOST);
  });

  it('says of a hub that is direct whether the connector that it had is lost', async () => {
    up('connector');
    up('hub', 'connector');
    presence.down('connector', 'gone');
    up('hub');
    expect(presence.of('hub').connectorLost).to.equal(false);
    await pass(50);
    expect(presence.of('hub')).to.include({ state: MachineState.ONLINE, connectorLost: true });
    up('connector');
    expect(presence.of('hub').connectorLost).to.equal(false);
  });

  it('tells every change once', async () => {
    const seen: string[] = [];
    const stop = presence.onChange((id, after, before) => seen.push(`${id}: ${before} → ${after}`));
    up('hub');
    up('hub');
    presence.down('hub', 'gone');
    await pass(50);
    stop();
    up('hub');
    expect(seen).to.deep.equal(['hub: never-seen → online', 'hub: online → waiting', 'hub: waiting → lost']);
  });

  it('calls hubs unreachable, too, behind a connector that was shut down', async () => {
    up('connector');
    up('hub', 'connector');
    presence.down('connector', 'shut-down');
    presence.down('hub', 'gone');
    await pass(50);
    expect(state('hub')).to.equal(MachineState.UNREACHABLE);
  });

  it('counts as unreachable only those hubs that it is told to', async () => {
    up('connector');
    for (const hub of ['hub', 'retired']) up(hub, 'connector');
    for (const id of ['connector', 'hub', 'retired']) presence.down(id, 'gone');
    await pass(100);
    expect(presence.unreachableBehind('connector', () => true)).to.equal(2);
    expect(presence.unreachableBehind('connector', (id) => id !== 'retired')).to.equal(1);
  });

  it('calls a hub lost that went direct, whatever its connector is', async () => {
    up('connector');
    up('hub', 'connector');
    presence.down('connector', 'gone');
    up('hub');
    await pass(100);
    expect(state('hub')).to.equal(MachineState.ONLINE);
    presence.down('hub', 'gone');
    await pass(50);
    expect(state('hub')).to.equal(MachineState.LOST);
  });

  it('gives everybody time to come back after a start of the cloud, except who was shut down', async () => {
    presence.expect('hub', { lastSeen: epochMs(5), shutDown: false, connectorId: '' });
    presence.expect('asleep', { lastSeen: epochMs(6), shutDown: true, connectorId: '' });
    // How it was is not known: a cloud that was killed has not written down who was there.
    expect([state('hub'), state('asleep')]).to.deep.equal([MachineState.UNKNOWN, MachineState.SHUT_DOWN]);
    expect(presence.of('hub').lastSeenMs).to.equal(5);
    // Six times the patience: ten thousand of them come back at the same time.
    await pass(6 * 45 - 1);
    expect(state('hub')).to.equal(MachineState.UNKNOWN);
    await pass(1);
    expect([state('hub'), state('asleep')]).to.deep.equal([MachineState.LOST, MachineState.SHUT_DOWN]);
  });

  it('knows after a start behind which connector a hub was', async () => {
    presence.expect('connector', { lastSeen: epochMs(5), shutDown: false, connectorId: '' });
    presence.expect('hub', { lastSeen: epochMs(5), shutDown: false, connectorId: 'connector' });
    await pass(6 * 45 + 1);
    expect([state('connector'), state('hub')]).to.deep.equal([MachineState.LOST, MachineState.UNREACHABLE]);
  });

  it('tells how far a clock is off, what waits, and how many hubs a connector carries', () => {
    up('connector');
    for (const hub of ['a', 'b', 'c']) up(hub, 'connector');
    presence.down('c', 'gone');
    presence.heartbeat('a', { queuedReadings: 3, queuedAgeMs: 4, clockMs: clock.now() - 60_000 });
    expect(presence.of('a')).to.include({ clockOffsetMs: -60_000, queuedReadings: 3, queuedAgeMs: 4 });
    expect(presence.of('connector').hubCount).to.equal(2);
  });

  it('has no edge besides its table', () => {
    const states = Object.keys(LIVENESS_EDGES) as Liveness[];
    expect(states).to.have.length(7);
    for (const from of states) {
      for (const to of states) {
        const machine = new StateMachine<Liveness>('presence', LIVENESS_EDGES, from);
        if (LIVENESS_EDGES[from].includes(to)) expect(() => machine.to(to)).not.to.throw();
        else expect(() => machine.to(to), `${from} → ${to}`).to.throw(IllegalTransition);
      }
    }
  });
});
