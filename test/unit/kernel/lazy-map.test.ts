// A map that is only made when it is needed is otherwise a Map: compared with one, whatever is done to both.
import { expect } from 'chai';
import fc from 'fast-check';
import { LazyMap } from '../../../src/kernel/lazy-map.js';

type Step = ['set', number, number] | ['delete', number] | ['clear'];

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('set' as const), fc.nat(3), fc.nat()),
    fc.tuple(fc.constant('delete' as const), fc.nat(3)),
    fc.tuple(fc.constant('clear' as const)),
  ),
);

describe('kernel: lazy map', () => {
  it('holds what a Map holds, in its order', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const [lazy, map] = [new LazyMap<number, number>(), new Map<number, number>()];
        for (const [what, key = 0, value = 0] of all) {
          if (what === 'set') expect(lazy.set(key, value)).to.equal(map.set(key, value) && lazy);
          else if (what === 'delete') expect(lazy.delete(key)).to.equal(map.delete(key));
          else expect(lazy.clear()).to.equal(map.clear());
          expect([...lazy]).to.deep.equal([...map]);
          expect([...lazy.keys()]).to.deep.equal([...map.keys()]);
          expect([...lazy.values()]).to.deep.equal([...map.values()]);
          expect([lazy.size, lazy.get(key)]).to.deep.equal([map.size, map.get(key)]);
        }
      }),
    );
  });

  it('bears being changed by whoever goes through it, as a Map does', () => {
    const visit = (map: LazyMap<number, string> | Map<number, string>): number[] => {
      map.set(1, 'a').set(2, 'b').set(3, 'c');
      const seen: number[] = [];
      for (const [key] of map) {
        seen.push(key);
        map.delete(key);
      }
      return [...seen, map.size];
    };
    expect(visit(new LazyMap())).to.deep.equal(visit(new Map()));
  });
});
