// What is known to be missing of a hub in a range of time, with its reason, for whoever asks for that range.
import { MachineState } from '../../../gen/occmesh/inventory/v1/inventory.js';
import { MissingReason, type MissingSpan } from '../../../gen/occmesh/readings/v1/readings.js';
import { GapReason } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { Clock } from '../../kernel/clock.js';
import type { Store } from '../../storage/store.js';
import type { MachineRecord } from '../inventory/records.js';
import { hubKeyOf, type Ledger } from '../telemetry/ledger.js';
import { missingFlushes } from '../telemetry/missing.js';
import type { Presence } from './ports.js';

export interface MissingModules {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly presence: Presence;
  readonly clock: Clock;
}

const HERE: readonly MachineState[] = [MachineState.ONLINE, MachineState.NEVER_SEEN];
const NO_LOG = Buffer.alloc(0);

interface MissingQuery {
  readonly from: number;
  /** Not included. */
  readonly until: number;
  /** Ends the search with its reason, also while nothing is found. */
  readonly signal: AbortSignal;
}

/** In messages of as many as one may have. */
export async function* missingSpans(
  machine: MachineRecord,
  range: MissingQuery,
  modules: MissingModules,
): AsyncGenerator<MissingSpan[]> {
  let spans: MissingSpan[] = [];
  for await (const span of allMissing(machine, modules)) {
    range.signal.throwIfAborted();
    if (span.fromMs >= range.until || span.untilMs < range.from) continue;
    spans.push(span);
    if (spans.length < 1_000) continue;
    yield spans;
    spans = [];
  }
  if (spans.length > 0) yield spans;
}

async function* allMissing(
  machine: MachineRecord,
  { store, ledger, presence, clock }: MissingModules,
): AsyncGenerator<MissingSpan> {
  const hub = hubKeyOf(machine);
  const { state, lastSeenMs, clockOffsetMs } = presence.of(machine.id);
  const now = clock.now() + clockOffsetMs;
  for await (const { log, flushes, reason, from, until } of missingFlushes(store, hub, await ledger.of(hub), now)) {
    yield {
      ...{ machineId: machine.id, fromMs: from, untilMs: until, log, flushes, gapReason: reason },
      reason: reason === GapReason.UNSPECIFIED ? MissingReason.OUTSTANDING : MissingReason.LOST,
    };
  }
  if (HERE.includes(state) || lastSeenMs === 0 || machine.retiredAtMs !== undefined) return;
  yield {
    ...{ machineId: machine.id, fromMs: Math.min(lastSeenMs + clockOffsetMs, now), untilMs: now, log: NO_LOG },
    ...{ flushes: undefined, gapReason: GapReason.UNSPECIFIED, reason: MissingReason.AWAY },
  };
}
