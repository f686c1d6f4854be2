// Decimal scaling: most sensors say 50.25, not 50.25000000000000042. Where every value of a column is an integer
// divided by one power of ten, and that division gives back the very same double, the integers are what is written.

const MAX_SCALE = 15;
/** Written in place of a scale for columns that are kept as doubles. */
export const AS_DOUBLES = 16;
/** So that the difference of any two, and of any two such differences, is still exact. */
export const MAX_INTEGER: number = 2 ** 51 - 1;

// All exact: 10^22 is the largest power of ten that a double holds exactly.
const POWERS: readonly number[] = Array.from({ length: MAX_SCALE + 1 }, (_, n) => Number(`1e${n}`));

/** 10^n for n in 0…15. */
export function power(n: number): number {
  return POWERS[n] as number;
}

/**
 * The smallest n for which the first `count` of `values` are integers / 10^n exactly, with the integers written to
 * `integers`; AS_DOUBLES when there is none.
 */
export function scale(values: Float64Array, count: number, integers: Float64Array): number {
  let n = 0;
  // A column seldom gets far with a power that is too small, so trying them in turn costs about one pass.
  while (n <= MAX_SCALE && !scaleBy(power(n), values, count, integers)) n += 1;
  return n;
}

function scaleBy(factor: number, values: Float64Array, count: number, integers: Float64Array): boolean {
  for (let i = 0; i < count; i++) {
    const value = values[i] as number;
    const integer = Math.round(value * factor);
    if (integer / factor !== value || Math.abs(integer) > MAX_INTEGER) return false;
    // Equal to 0 for === but not the same double, and there is no integer for it.
    if (integer === 0 && Object.is(value, -0)) return false;
    integers[i] = integer;
  }
  return true;
}
