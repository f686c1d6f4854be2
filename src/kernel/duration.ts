// Spans of time and points in time as types of their own, so that a bare number is never mistaken for either.
// Reading a clock is in clock.ts.

declare const spanBrand: unique symbol;
declare const epochBrand: unique symbol;

/** A span of time in milliseconds; may be fractional, never negative. */
export type Duration = number & { readonly [spanBrand]: 'ms' };

/** Milliseconds since 1970-01-01T00:00:00Z, an integer. What a wall clock says, which may be wrong or jump. */
export type EpochMs = number & { readonly [epochBrand]: 'ms since epoch' };

export const milliseconds = (n: number): Duration => n as Duration;
export const seconds = (n: number): Duration => (n * 1_000) as Duration;
export const minutes = (n: number): Duration => (n * 60_000) as Duration;
export const hours = (n: number): Duration => (n * 3_600_000) as Duration;
export const days = (n: number): Duration => (n * 86_400_000) as Duration;
export const epochMs = (n: number): EpochMs => Math.trunc(n) as EpochMs;

/** The span from `earlier` to `later`; zero when the clock went backwards in between. */
export const between = (earlier: EpochMs, later: EpochMs): Duration => Math.max(0, later - earlier) as Duration;
export const after = (time: EpochMs, span: Duration): EpochMs => epochMs(time + span);

/** `20260131T140000Z`: a moment for names of files. */
export const fileTime = (time: EpochMs): string => new Date(time).toISOString().replaceAll(/[-:]|\.\d+/g, '');

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Reads `250ms`, `10s`, `5m`, `72h`, `90d`; undefined for anything else. The form that configuration files use. */
export function parseDuration(text: string): Duration | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  if (!match) return undefined;
  return (Number(match[1]) * UNITS[match[2] as keyof typeof UNITS]) as Duration;
}

/** A span for people: `850ms`, `12s`, `4m 10s`, `3h 2m`, `5d 1h`. */
export function formatDuration(span: Duration): string {
  if (span < 1_000) return `${Math.round(span)}ms`;
  const total = Math.round(span / 1_000);
  const parts: [number, string][] = [
    [Math.floor(total / 86_400), 'd'],
    [Math.floor(total / 3_600) % 24, 'h'],
    [Math.floor(total / 60) % 60, 'm'],
    [total % 60, 's'],
  ];
  const from = parts.findIndex(([n]) => n > 0);
  return parts
    .slice(from, from + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n}${unit}`)
    .join(' ');
}
