// How a sensor's readings become its state: soft, hard, flapping, stale.
import { expect } from 'chai';
import fc from 'fast-check';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SENSOR_EDGES, type SensorCondition, SensorState } from '../../../../src/cloud/states/sensor-state.js';
import { IllegalTransition, StateMachine } from '../../../../src/kernel/machine.js';
import { testSeed } from '../../../support/seeded-random.js';

const { OK, WARNING, CRITICAL, UNKNOWN } = State;
const CONDITIONS = Object.keys(SENSOR_EDGES) as SensorCondition[];

/** The conditions after each of these readings. */
function conditionsAfter(readings: readonly State[], attempts = 3, sensor = new SensorState()): SensorCondition[] {
  return readings.map((state) => {
    sensor.measured(state, attempts);
    return sensor.condition;
  });
}

describe('states: one sensor', () => {
  it('believes bad readings after so many in a row, good ones at once', () => {
    expect(conditionsAfter([OK, CRITICAL, CRITICAL, CRITICAL, OK])).to.deep.equal(['ok', 'ok', 'ok', 'critical', 'ok']);
    expect(conditionsAfter([OK, CRITICAL, CRITICAL, OK, CRITICAL, CRITICAL])).to.not.include('critical');
    expect(conditionsAfter([CRITICAL], 1)).to.deep.equal(['critical']);
  });

  it('believes any bad readings in a row, and takes the last of them', () => {
    expect(conditionsAfter([OK, WARNING, UNKNOWN, CRITICAL])).to.deep.equal(['ok', 'ok', 'ok', 'critical']);
  });

  it('believes changes from bad to bad at once', () => {
    expect(conditionsAfter([CRITICAL, CRITICAL, CRITICAL, WARNING, UNKNOWN]).slice(2)).to.deep.equal([
      'critical',
      'warning',
      'unknown',
    ]);
  });

  it('counts what it suspects, and says so', () => {
    const sensor = new SensorState();
    const counts = [OK, WARNING, WARNING, WARNING, WARNING].map((state) => {
      const changed = sensor.measured(state, 3);
      return [sensor.attempt, changed];
    });
    expect(counts).to.deep.equal([
      [0, true],
      [1, false],
      [2, false],
      [0, true],
      [0, false],
    ]);
  });

  it('is initialising before the first reading, also when that is suspect', () => {
    const sensor = new SensorState();
    expect(sensor.condition).to.equal('initialising');
    expect(conditionsAfter([CRITICAL, CRITICAL, CRITICAL], 3, sensor)).to.deep.equal([
      'initialising',
      'initialising',
      'critical',
    ]);
  });

  it('is stale until the next reading, which counts at once', () => {
    for (const [reading, condition] of [
      [OK, 'ok'],
      [WARNING, 'warning'],
    ] as const) {
      const sensor = new SensorState();
      conditionsAfter([OK], 3, sensor);
      expect(sensor.becomes('stale')).to.equal(true);
      expect(sensor.becomes('stale'), 'twice').to.equal(false);
      expect(conditionsAfter([reading], 3, sensor)).to.deep.equal([condition]);
    }
  });

  it('begins again after a pause', () => {
    const sensor = new SensorState();
    conditionsAfter([CRITICAL], 1, sensor);
    sensor.becomes('paused');
    expect(sensor.becomes('initialising')).to.equal(true);
    expect(conditionsAfter([CRITICAL, OK], 3, sensor)).to.deep.equal(['initialising', 'ok']);
  });

  it('refuses every edge that is not in the table', () => {
    for (const from of CONDITIONS) {
      for (const to of CONDITIONS) {
        const machine = new StateMachine('sensor', SENSOR_EDGES, from);
        if (SENSOR_EDGES[from].includes(to)) machine.to(to);
        else expect(() => machine.to(to), `${from} → ${to}`).to.throw(IllegalTransition);
      }
    }
  });

  it('never takes an illegal edge, whatever comes', () => {
    const step = fc.oneof(
      fc.constantFrom(OK, WARNING, CRITICAL, UNKNOWN),
      fc.constantFrom('stale' as const, 'paused' as const),
      fc.constant('resumed' as const),
    );
    fc.assert(
      fc.property(fc.array(step), fc.integer({ min: 1, max: 10 }), (steps, attempts) => {
        const sensor = new SensorState();
        for (const one of steps) {
          if (typeof one === 'number') sensor.measured(one, attempts);
          else if (one === 'resumed') {
            if (sensor.condition === 'paused') sensor.becomes('initialising');
          } else if (!(one === 'stale' && sensor.condition === 'paused')) sensor.becomes(one);
          expect(sensor.attempt).to.be.lessThan(attempts);
        }
      }),
      { seed: testSeed },
    );
  });
});

describe('states: flapping', () => {
  it('begins once and ends once while a sensor goes to and fro', () => {
    const sensor = new SensorState();
    const seen: boolean[] = [];
    const note = (state: State) => {
      sensor.measured(state, 3);
      if (seen.at(-1) !== sensor.flapping) seen.push(sensor.flapping);
    };
    for (let i = 0; i < 100; i++) note(i % 2 ? CRITICAL : OK);
    for (let i = 0; i < 20; i++) note(OK);
    expect(seen).to.deep.equal([false, true, false]);
  });

  it('is not what an outage looks like, nor a slow change of severity', () => {
    const sensor = new SensorState();
    const readings = [OK, OK, WARNING, WARNING, CRITICAL, CRITICAL, CRITICAL, WARNING, OK, OK, OK];
    for (const state of readings) {
      sensor.measured(state, 3);
      expect(sensor.flapping).to.equal(false);
    }
  });

  it('does not go to and fro itself: it ends lower than it begins', () => {
    // A change in each fourth reading: above the one threshold never, but above the other.
    const rate = (sensor: SensorState, every: number, count: number) => {
      let state = OK;
      for (let i = 0; i < count; i++) {
        if (i % every === 0) state = state === OK ? WARNING : OK;
        sensor.measured(state, 3);
      }
    };
    const calm = new SensorState();
    rate(calm, 4, 80);
    expect(calm.flapping).to.equal(false);
    const excited = new SensorState();
    rate(excited, 1, 20);
    rate(excited, 4, 80);
    expect(excited.flapping).to.equal(true);
  });
});
