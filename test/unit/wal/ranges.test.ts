// RangeSet against the obvious model: a Set of numbers.
import { expect } from 'chai';
import fc from 'fast-check';
import type { FlushRange } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { RangeSet } from '../../../src/telemetry/ranges.js';
import { testSeed } from '../../support/seeded-random.js';

const range = fc.record({ first: fc.nat(40), count: fc.integer({ min: 1, max: 12 }) });
const step = fc.record({ add: fc.boolean(), range });
const numbers = ({ first, count }: FlushRange) => Array.from({ length: count }, (_, i) => first + i);

function build(steps: readonly { add: boolean; range: FlushRange }[]): [RangeSet, Set<number>] {
  const [set, model] = [new RangeSet(), new Set<number>()];
  for (const { add, range } of steps) {
    if (add) set.add(range);
    else set.remove(range);
    for (const n of numbers(range)) {
      if (add) model.add(n);
      else model.delete(n);
    }
  }
  return [set, model];
}

function expectSame(set: RangeSet, model: Set<number>): void {
  const ascending = [...model].sort((a, b) => a - b);
  expect([...set.flushes()]).to.deep.equal(ascending);
  expect(set.size).to.equal(model.size);
  expect(set.first).to.equal(ascending[0]);
  expect(set.end).to.equal((ascending.at(-1) ?? -1) + 1);
  let end = -1;
  for (const { first, count } of set.ranges()) {
    expect(first, 'ranges neither overlap nor touch').to.be.greaterThan(end);
    end = first + count;
  }
}

describe(`RangeSet (seed ${testSeed})`, () => {
  const settings = { seed: testSeed, numRuns: 400 };
  const steps = fc.array(step, { maxLength: 25 });

  it('is a set under any additions and removals', () => {
    fc.assert(
      fc.property(steps, range, (steps, probe) => {
        const [set, model] = build(steps);
        expectSame(set, model);
        for (let n = 0; n < 60; n++) expect(set.has(n)).to.equal(model.has(n));
        expect(set.contains(probe)).to.equal(numbers(probe).every((n) => model.has(n)));
        expectSame(set.within(probe), new Set(numbers(probe).filter((n) => model.has(n))));
        expectSame(RangeSet.from(set.toProto()), model);
      }),
      settings,
    );
  });

  it('joins, subtracts and intersects without touching its operands', () => {
    fc.assert(
      fc.property(steps, steps, (left, right) => {
        const [a, modelA] = build(left);
        const [b, modelB] = build(right);
        expectSame(a.union(b), new Set([...modelA, ...modelB]));
        expectSame(a.subtract(b), new Set([...modelA].filter((n) => !modelB.has(n))));
        expectSame(a.intersect(b), new Set([...modelA].filter((n) => modelB.has(n))));
        expect(a.equals(b)).to.equal(a.subtract(b).size + b.subtract(a).size === 0);
        expectSame(a, modelA);
        expectSame(b, modelB);
      }),
      settings,
    );
  });

  it('refuses what is not a range', () => {
    const set = RangeSet.span(5, 8);
    for (const bad of [
      { first: 0, count: 0 },
      { first: -1, count: 2 },
      { first: 1.5, count: 1 },
      { first: Number.MAX_SAFE_INTEGER, count: 1 },
      { first: Number.NaN, count: 1 },
    ]) {
      expect(() => set.add(bad), JSON.stringify(bad)).to.throw(RangeError);
      expect(() => set.remove(bad)).to.throw(RangeError);
    }
    expect(set.toString()).to.equal('[5…7]');
  });

  it('keeps a million flushes in one range', () => {
    const set = new RangeSet();
    for (let first = 0; first < 1_000_000; first += 1_000) set.add({ first, count: 1_000 });
    expect(set.rangeCount).to.equal(1);
    expect(set.size).to.equal(1_000_000);
  });
});
