// Random and regular telemetry for the tests of this folder.
import fc from 'fast-check';
import type { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { epochMs } from '../../../src/kernel/duration.js';
import type { Random } from '../../../src/kernel/random.js';
import { type Flush, fitsUtf8, MAX_ABSOLUTE_MS, type Reading } from '../../../src/telemetry/reading.js';
import { testSeed } from '../../support/seeded-random.js';

/** Of every property in this folder. fast-check prints the seed when it fails; TEST_SEED brings it back. */
export function runs(numRuns: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: testSeed, numRuns };
}

const decimal = fc
  .tuple(fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }), fc.integer({ min: 0, max: 6 }))
  .map(([integer, n]) => integer / 10 ** n);

const value = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: -5000, max: 5000 }).map((integer) => integer / 100) },
  { weight: 2, arbitrary: decimal },
  { weight: 1, arbitrary: fc.maxSafeInteger() },
  { weight: 1, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(0, -0, 1, 5e-324, -5e-324, 1.7976931348623157e308, 2 ** 53 - 1, 2 ** 53, 0.1 + 0.2),
  },
);

const start = Date.UTC(2026, 0, 1);
const takenAt = fc
  .oneof(
    { weight: 4, arbitrary: fc.integer({ min: start, max: start + 60_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: -100_000, max: 100_000 }) },
    { weight: 1, arbitrary: fc.integer({ min: -MAX_ABSOLUTE_MS, max: MAX_ABSOLUTE_MS }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom(0, -MAX_ABSOLUTE_MS, MAX_ABSOLUTE_MS, start + 2 ** 31, start - 2 ** 31 - 1),
    },
  )
  .map(epochMs);

const text = (limit: number) => fc.string({ unit: 'grapheme', maxLength: 24 }).filter((it) => fitsUtf8(it, limit));
const message = fc.oneof(
  { weight: 4, arbitrary: fc.constant('') },
  {
    weight: 3,
    arbitrary: fc.constantFrom('timeout', 'disk /var is 91 % full', '\ufeffbegins like a byte-order mark', '💥'),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 1024 }).filter((it) => fitsUtf8(it, 1024)) },
);

const metric = fc.oneof(
  fc.constantFrom({ name: 'used', unit: '%' }, { name: 'rta', unit: 'ms' }, { name: '/var/free', unit: 'By' }),
  fc.record({ name: text(128).filter((name) => name !== ''), unit: text(64) }),
);
const shape = fc.uniqueArray(metric, { maxLength: 4, selector: ({ name }) => name });

/** Readings of few sensors with few shapes, so that series of some length come about, and every kind of oddity. */
export const anyReadings = (maxLength: number): fc.Arbitrary<Reading[]> =>
  fc.tuple(fc.array(shape, { minLength: 1, maxLength: 3 }), fc.boolean()).chain(([shapes, steady]) =>
    fc.array(
      fc
        .record({
          sensor: fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom(2 ** 31, 2 ** 32 - 1)),
          takenAt: steady ? fc.integer({ min: start, max: start + 5_000 }).map(epochMs) : takenAt,
          state: fc.constantFrom<State[]>(1, 1, 1, 2, 3, 4),
          message,
          shape: fc.constantFrom(...shapes),
          values: fc.array(steady ? decimal : value, { minLength: 4, maxLength: 4 }),
        })
        .map(({ shape, values, ...rest }) => ({
          ...rest,
          values: shape.map((of, i) => ({ ...of, value: values[i] ?? 0 })),
        })),
      { maxLength },
    ),
  );

/** A contiguous range of flushes, some of them empty, with at least one reading. */
export const anyFlushes: fc.Arbitrary<Flush[]> = fc
  .tuple(
    fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1_000_000 }), fc.constant(2 ** 53 - 100)),
    fc.array(fc.oneof(anyReadings(40), fc.constant([])), { minLength: 1, maxLength: 8 }),
  )
  .map(([first, all]) => all.map((readings, i) => ({ number: first + i, readings })))
  .filter((flushes) => flushes.some(({ readings }) => readings.length > 0));

export interface Walk {
  readonly sensors: number;
  readonly readings: number;
  readonly flushes: number;
  /** How far a value may go in one step, in hundredths. */
  readonly step: number;
}

/** Sensors that are read once per second, give or take 5 ms, each with one value that walks at random. */
export function randomWalk(random: Random, { sensors, readings, flushes, step }: Walk): Flush[] {
  const below = (n: number) => Math.floor(random.uniform() * n);
  const hundredths = Array.from({ length: sensors }, () => below(10_000));
  const result = Array.from({ length: flushes }, (_, number) => ({ number: 1000 + number, readings: [] as Reading[] }));
  for (let round = 0; round < readings / sensors; round++) {
    const flush = result[Math.floor((round * flushes * sensors) / readings)];
    for (const [i, before] of hundredths.entries()) {
      const now = before + below(2 * step + 1) - step;
      hundredths[i] = now;
      flush?.readings.push({
        sensor: i + 1,
        takenAt: epochMs(start + round * 1000 + below(11) - 5),
        state: 1,
        message: '',
        values: [{ name: 'used', unit: '%', value: now / 100 }],
      });
    }
  }
  return result;
}
