// Repeatable randomness for tests: print the seed, hand it back in through TEST_SEED.
import type { Random } from '../../src/kernel/random.js';

/** mulberry32: small, fast, good enough to shuffle test inputs; never for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    uniform,
    bytes: (length) => Buffer.from(Array.from({ length }, () => Math.floor(uniform() * 256))),
  };
}

/** The seed of this run: TEST_SEED, or a fresh one. */
export const testSeed: number = Number(process.env.TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));
