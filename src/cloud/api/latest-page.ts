// Pages of latest readings: by hub, then sensor. Where a page ended is where the next one goes on, whatever has been
// added, removed or measured in between.
import { invalid } from '../../contract/status.js';
import type { MachineRecord } from '../inventory/records.js';
import type { PlacedReading } from '../telemetry/latest.js';
import { keyOfToken, MAX_PAGE_BYTES, type Page, type PageRequest, sizeOf, tokenOf } from './paging.js';

const SIZES = { usual: 1_000, most: 10_000 };

export interface LatestOfHub {
  readonly machine: MachineRecord;
  readonly placed: PlacedReading;
}

/** `hubs` in the order of their ids; `latestOf` gives what a hub has, by sensor, and is asked only for what the page has room for. */
export function latestPage(
  hubs: readonly MachineRecord[],
  latestOf: (hub: MachineRecord) => readonly PlacedReading[],
  request: PageRequest,
): Page<LatestOfHub> {
  const size = sizeOf(request, SIZES);
  const after = placeOf(request.pageToken);
  const items: LatestOfHub[] = [];
  let bytes = 0;
  for (const machine of hubs) {
    if (after && machine.id < after.machine) continue;
    for (const placed of latestOf(machine)) {
      if (after && machine.id === after.machine && placed.reading.sensor <= after.sensor) continue;
      bytes += sizeOfReading(placed);
      if (items.length === size || (items.length > 0 && bytes > MAX_PAGE_BYTES)) {
        return { items, nextPageToken: endOf(items) };
      }
      items.push({ machine, placed });
    }
  }
  return { items, nextPageToken: '' };
}

function endOf(items: readonly LatestOfHub[]): string {
  const last = items.at(-1);
  return last ? tokenOf(`${last.machine.id}/${last.placed.reading.sensor}`) : '';
}

function placeOf(token: string): { readonly machine: string; readonly sensor: number } | undefined {
  const key = keyOfToken(token);
  if (key === undefined) return undefined;
  const [, machine, sensor] = /^([^/]+)\/(\d{1,10})$/.exec(key) ?? [];
  if (machine === undefined) throw invalid('page_token', 'is not one of this list');
  return { machine, sensor: Number(sensor) };
}

/** Bytes that it takes in a message, at most: a character takes up to three. */
function sizeOfReading({ reading: { message, values } }: PlacedReading): number {
  let bytes = 100 + 3 * message.length;
  for (const { name, unit } of values) bytes += 20 + 3 * (name.length + unit.length);
  return bytes;
}
