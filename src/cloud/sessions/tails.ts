// Logs that came back shorter than announced: what is neither on the hub nor in the cloud becomes a gap, signed by the
// cloud. Data replaces it, should it ever turn up (a clone or a newer copy may have it).
import type { LogSummary } from '../../../gen/occmesh/link/v1/link.js';
import type { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import { Gap, GapReason, Witness } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { signContent } from '../../identity/signed.js';
import { TAGS } from '../../identity/tags.js';
import { RangeSet } from '../../telemetry/ranges.js';
import type { Author } from '../telemetry/ingest.js';
import type { HubKey } from '../telemetry/ledger.js';
import type { SessionServices } from './services.js';

/** Compares what was announced with what the hub says it has now. */
export async function recordMissingTails(
  services: SessionServices,
  author: Author,
  record: SessionRecord,
  logs: readonly LogSummary[],
): Promise<void> {
  const present = new Map(logs.map((summary) => [Buffer.from(summary.log).toString('hex'), summary]));
  for (const tail of record.announced) {
    const log = Buffer.from(tail.log);
    const next = present.get(log.toString('hex'))?.next ?? 0;
    if (next >= tail.next) continue;
    const state = author.ledger.log(log);
    const known = RangeSet.from([...state.held.ranges(), ...state.gaps]);
    for (const { first, count } of RangeSet.span(next, tail.next).subtract(known).ranges()) {
      await recordGap(services, author, log, first, count, GapReason.TAIL_MISSING);
      services.log.warn(
        { hub: author.machine.toString('hex'), first, count },
        'a log came back shorter than announced',
      );
    }
  }
}

/** A machine has been retired: what it announced and never delivered will not come any more. */
export async function recordRetired(services: SessionServices, hub: HubKey): Promise<void> {
  const ledger = await services.ledger.of(hub);
  // Nobody speaks for it any more: there is no newer session that could take over.
  const author: Author = { ...hub, ledger, verifyKey: () => undefined, isCurrent: () => true };
  for (const state of ledger.logs.values()) {
    const known = RangeSet.from([...state.held.ranges(), ...state.gaps]);
    for (const { first, count } of RangeSet.span(0, state.announced).subtract(known).ranges()) {
      await recordGap(services, author, state.id, first, count, GapReason.RETIRED);
    }
  }
}

/** Signs and stores a gap that the cloud noticed itself. */
export async function recordGap(
  services: SessionServices,
  author: Author,
  log: Buffer,
  first: number,
  count: number,
  reason: GapReason,
): Promise<void> {
  const gap: Gap = {
    machineId: author.machine,
    log,
    firstFlush: first,
    flushCount: count,
    reason,
    noticedAtMs: services.clock.now(),
    witness: Witness.CLOUD,
    readingCount: 0,
  };
  const signed = signContent(services.node.key, TAGS.GAP, Gap.encode(gap).finish());
  await services.ingest.recordGap(author, gap, signed);
}
