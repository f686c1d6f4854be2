// Logs that came back shorter than they were known to be: what is neither on the hub nor in the cloud becomes a gap,
// signed by the cloud. Data replaces it, should it ever turn up (a clone or a newer copy may have it).
import type { LogSummary } from '../../../gen/occmesh/link/v1/link.js';
import type { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import { type FlushRange, Gap, GapReason, Witness } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { signContent } from '../../identity/signed.js';
import { TAGS } from '../../identity/tags.js';
import { MOST_LOGS } from '../../link/version.js';
import { RangeSet } from '../../telemetry/ranges.js';
import type { Author } from '../telemetry/ingest.js';
import type { HubKey, HubLedger, LogState } from '../telemetry/ledger.js';
import type { SessionServices } from './services.js';
import { readSessionRecord } from './session-record.js';

/** Compares how far logs are known to have reached with what the hub says it has now. */
export async function recordMissingTails(
  services: SessionServices,
  author: Author,
  record: SessionRecord,
  logs: readonly LogSummary[],
): Promise<void> {
  const present = new Map(logs.map((summary) => [Buffer.from(summary.log).toString('hex'), summary]));
  for (const [name, state] of knownTails(author.ledger, record)) {
    const summary = present.get(name);
    // A hub that names as many logs as it may has others that it does not name.
    if (!summary && logs.length >= MOST_LOGS) continue;
    // Not missing: written again under another log.
    if (summary?.continued) continue;
    for (const { first, count } of missing(state, summary?.next ?? 0)) {
      await recordGap(services, author, state.id, first, count, GapReason.TAIL_MISSING);
      services.log.warn(
        { hub: author.machine.toString('hex'), first, count },
        'a log came back shorter than it was known to be',
      );
    }
  }
}

/** A machine has been retired: what it announced and never delivered will not come any more. */
export async function recordRetired(services: SessionServices, hub: HubKey): Promise<void> {
  const [ledger, record] = await Promise.all([services.ledger.of(hub), readSessionRecord(services.store, hub)]);
  // Nobody speaks for it any more: there is no newer session that could take over.
  const budget = { unfold: () => undefined, record: () => undefined };
  const author: Author = { ...hub, ledger, budget, verifyKey: () => undefined, isCurrent: () => true };
  for (const [, state] of knownTails(ledger, record)) {
    for (const { first, count } of missing(state, 0)) {
      await recordGap(services, author, state.id, first, count, GapReason.RETIRED);
    }
  }
}

/** Every log that was announced or of which something is held. */
function knownTails(ledger: HubLedger, { announced }: SessionRecord): [string, LogState][] {
  for (const { log, next } of announced) ledger.announce(log, next);
  return ledger.all();
}

/** What of a log is neither held, nor known to be gone, nor below `next` on the hub. */
function missing(state: LogState, next: number): FlushRange[] {
  return RangeSet.span(next, state.announced).subtract(state.held).subtract(state.lost).toProto();
}

/** Signs and stores a gap that the cloud noticed itself. */
async function recordGap(
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
