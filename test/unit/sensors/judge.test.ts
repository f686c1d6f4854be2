// From measurement to reading: verdicts, and the limits of the telemetry contract under hostile input.
import { expect } from 'chai';
import fc from 'fast-check';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { epochMs } from '../../../src/kernel/duration.js';
import { tidyText, tidyValues, toReading } from '../../../src/sensors/judge.js';
import type { Measurement } from '../../../src/sensors/kind.js';
import { parseThreshold } from '../../../src/sensors/thresholds.js';
import { checkReading } from '../../../src/telemetry/reading.js';
import { testSeed } from '../../support/seeded-random.js';

const used = (value: number) => ({ name: 'used', unit: '%', value });
const warnAt90 = [parseThreshold({ metric: 'used', warning: '90', critical: '' })];
const judge = (measurement: Measurement) => {
  const { state, message } = toReading(7, epochMs(1_000), measurement, warnAt90);
  return [state, message];
};

describe('sensors/judge', () => {
  it('is OK and silent when all is well', () => {
    expect(toReading(7, epochMs(1_000), { values: [used(5)] }, warnAt90)).to.deep.equal({
      sensor: 7,
      takenAt: 1_000,
      state: State.OK,
      message: '',
      values: [used(5)],
    });
  });

  it('thresholds make the verdict worse, never better', () => {
    expect(judge({ values: [used(95)] })).to.deep.equal([State.WARNING, 'used 95 % is over 90']);
    expect(judge({ values: [used(95)], state: State.OK, message: 'fine' })).to.deep.equal([
      State.WARNING,
      'used 95 % is over 90; fine',
    ]);
    expect(judge({ values: [used(95)], state: State.CRITICAL, message: 'dead' })).to.deep.equal([
      State.CRITICAL,
      'dead',
    ]);
    expect(judge({ values: [used(5)], state: State.UNKNOWN, message: 'eh' })).to.deep.equal([State.UNKNOWN, 'eh']);
  });

  it('what was not measured is not judged', () => {
    expect(judge({ values: [], state: State.UNKNOWN, message: 'why' })).to.deep.equal([State.UNKNOWN, 'why']);
  });

  it('keeps only what the contract allows', () => {
    const values = [
      used(1),
      used(2),
      { name: ' ', unit: '', value: 1 },
      { name: 'nan', unit: '', value: Number.NaN },
      { name: 'inf', unit: '', value: Number.POSITIVE_INFINITY },
      { name: 'zero', unit: '', value: -0 },
      { name: 'x'.repeat(500), unit: 'y'.repeat(500), value: 1 },
    ];
    const tidy = tidyValues(values);
    expect(tidy.map(({ name }) => name.slice(0, 5))).to.deep.equal(['used', 'zero', 'xxxxx']);
    expect(tidy[0]?.value).to.equal(1);
    expect(Object.is(tidy[1]?.value, 0)).to.equal(true);
    expect(tidy[2]?.name).to.have.length(128);
    expect(tidyValues(Array.from({ length: 1_000 }, (_, i) => ({ name: `m${i}`, unit: '', value: i })))).to.have.length(
      256,
    );
  });

  it('whatever was measured, the reading keeps the contract', () => {
    const text = fc.string({ unit: 'binary', maxLength: 200 });
    const metric = fc.record({ name: text, unit: text, value: fc.double() });
    fc.assert(
      fc.property(fc.array(metric, { maxLength: 20 }), text, (values, message) => {
        checkReading(toReading(1, epochMs(5), { values, message }, warnAt90));
      }),
      { seed: testSeed },
    );
    // The check does refuse what was not made fit.
    const unfit = { sensor: 1, takenAt: epochMs(5), state: State.OK, message: '\ud800', values: [] };
    expect(() => checkReading(unfit)).to.throw('message');
  });

  it('any text becomes one line of valid UTF-8 within the limit', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), fc.integer({ min: 1, max: 100 }), (text, limit) => {
        const tidy = tidyText(text, limit);
        expect(Buffer.byteLength(tidy)).to.be.at.most(limit);
        expect(tidy).not.to.match(/[\p{Cc}\u2028\u2029\u202e]/u);
        expect(Buffer.from(tidy).toString()).to.equal(tidy);
      }),
      { seed: testSeed },
    );
    expect(tidyText('a\x1b[31m\nb\ud800', 100)).to.equal('a [31m b');
    expect(tidyText('ééé', 5)).to.equal('éé');
  });
});
