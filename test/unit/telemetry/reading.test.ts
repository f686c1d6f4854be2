import { expect } from 'chai';
import fc from 'fast-check';
import { epochMs } from '../../../src/kernel/duration.js';
import { TelemetryFault } from '../../../src/telemetry/fault.js';
import { canonicalOrder, checkReading, type Reading } from '../../../src/telemetry/reading.js';
import { anyReadings, runs } from './arbitraries.js';

const good: Reading = {
  sensor: 3,
  takenAt: epochMs(1_700_000_000_000),
  state: 1,
  message: 'fine',
  values: [
    { name: 'used', unit: '%', value: 50.25 },
    { name: 'free', unit: 'By', value: 1e9 },
  ],
};
const value = { name: 'used', unit: '%', value: 1 };

describe('canonicalOrder', () => {
  it('sorts by sensor and keeps the order of one sensor', () => {
    const at = (sensor: number, message: string): Reading => ({ ...good, sensor, message });
    const order = canonicalOrder([at(2, 'a'), at(1, 'b'), at(2, 'c'), at(0, 'd'), at(1, 'e')]);
    expect(order.map(({ message }) => message).join('')).to.equal('dbeac');
  });

  it('returns what is sorted already as it is', () => {
    const sorted = [good, good, { ...good, sensor: 4 }];
    expect(canonicalOrder(sorted)).to.equal(sorted);
  });
});

describe('checkReading', () => {
  const bad: Record<string, Partial<Record<keyof Reading, unknown>>> = {
    'a negative sensor': { sensor: -1 },
    'a sensor beyond 32 bits': { sensor: 2 ** 32 },
    'half a sensor': { sensor: 1.5 },
    'a fractional timestamp': { takenAt: 1.5 },
    'no timestamp': { takenAt: Number.NaN },
    'a timestamp out of range': { takenAt: 2 ** 52 },
    'no state': { state: 0 },
    'an unknown state': { state: 5 },
    'half a state': { state: 1.5 },
    'a long message': { message: 'ä'.repeat(513) },
    'a message that has no UTF-8': { message: 'x\ud800' },
    'a metric without a name': { values: [{ ...value, name: '' }] },
    'a metric with a long name': { values: [{ ...value, name: 'n'.repeat(129) }] },
    'a metric with a long unit': { values: [{ ...value, unit: 'u'.repeat(65) }] },
    'a metric twice': { values: [value, { ...value, unit: 'By' }] },
    NaN: { values: [{ ...value, value: Number.NaN }] },
    infinity: { values: [{ ...value, value: Number.NEGATIVE_INFINITY }] },
    'too many metrics': { values: Array.from({ length: 1025 }, (_, i) => ({ ...value, name: `m${i}` })) },
  };
  for (const [what, change] of Object.entries(bad)) {
    it(`refuses ${what}`, () => {
      expect(() => checkReading({ ...good, ...change } as Reading))
        .to.throw(TelemetryFault)
        .with.property('code', 'telemetry.invalid');
    });
  }

  it('accepts everything that the random tests are made of', () => {
    checkReading(good);
    fc.assert(
      fc.property(anyReadings(10), (readings) => readings.forEach(checkReading)),
      runs(200),
    );
  });
});
