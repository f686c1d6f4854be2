// The version of this program, as it tells it to its peers and to people.
import { readFileSync } from 'node:fs';

// From src/kernel (tsx) and from dist/src/kernel (compiled).
const PLACES = ['../../package.json', '../../../package.json'];

function versionOf(place: string): string | undefined {
  try {
    const content: unknown = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8'));
    const { name, version } = content as { name?: unknown; version?: unknown };
    return name === 'occ-mesh' && typeof version === 'string' ? version : undefined;
  } catch {
    return undefined;
  }
}

/** `occ-mesh/0.1.0`. */
export const SOFTWARE = `occ-mesh/${PLACES.map(versionOf).find((version) => version !== undefined) ?? 'unknown'}`;
