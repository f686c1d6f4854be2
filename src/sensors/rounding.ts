// Values with no more digits than they deserve: short decimals compress to almost nothing, raw doubles never do.

/** The nearest number with at most so many decimals. */
export const round = (value: number, decimals: number): number => Number(value.toFixed(decimals));

/** `part` of `whole` in percent with one decimal, within 0 to 100; 0 when the whole is nothing. */
export const percent = (part: number, whole: number): number =>
  whole > 0 ? round(Math.min(100, Math.max(0, (part / whole) * 100)), 1) : 0;
