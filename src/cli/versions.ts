// Versions of this program as its parts tell them (`occ-mesh/1.4.2`), and how far apart two of them are.
export type Distance =
  /** The same version. */
  | 'same'
  /** Behind, by the first part that differs. */
  | 'patch'
  | 'minor'
  | 'major'
  /** Newer than the other. */
  | 'ahead'
  /** One of them is no version of this program. */
  | 'unknown';

type Version = readonly [major: number, minor: number, patch: number];

/** What follows the three numbers (`-rc.1`) does not count. */
function versionOf(software: string): Version | undefined {
  const [, ...parts] = /^occ-mesh\/(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+].*)?$/.exec(software) ?? [];
  const [major, minor, patch] = parts.map(Number);
  return major === undefined || minor === undefined || patch === undefined ? undefined : [major, minor, patch];
}

/** How far `software` is behind `other`. */
export function behind(software: string, other: string): Distance {
  const [own, others] = [versionOf(software), versionOf(other)];
  if (!own || !others) return software !== '' && software === other ? 'same' : 'unknown';
  for (const [i, step] of (['major', 'minor', 'patch'] as const).entries()) {
    const difference = (others[i] ?? 0) - (own[i] ?? 0);
    if (difference !== 0) return difference > 0 ? step : 'ahead';
  }
  return 'same';
}

/** Oldest first; what is no version of this program before everything else. */
export function byVersion(a: string, b: string): number {
  const [own, other] = [versionOf(a), versionOf(b)];
  if (!own || !other) return Number(own !== undefined) - Number(other !== undefined) || a.localeCompare(b);
  for (const i of [0, 1, 2] as const) if (own[i] !== other[i]) return own[i] - other[i];
  return a.localeCompare(b);
}
