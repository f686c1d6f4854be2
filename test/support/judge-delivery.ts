// Promise 1, as a judge: every reading that was reported durable is in the cloud exactly once, or inside a gap, or expired.
import { expect } from 'chai';
import type { Member } from '../unit/identity/fixtures.js';
import { keyOf, type SmallCloud } from './small-cloud.js';
import { type History, idsOf } from './small-hub.js';

export interface Verdict {
  /** Numbers of readings that are neither stored nor inside a gap, and have not expired. */
  readonly lost: number[];
  /** Stored more than once. */
  readonly doubled: number[];
  /** Not stored, but inside a gap. */
  readonly inGaps: number[];
  /** Not stored any more, because it has expired. */
  readonly expired: number[];
  /** Stored, and never reported durable. */
  readonly invented: number[];
}

export async function judge(cloud: SmallCloud, hub: Member, history: History): Promise<Verdict> {
  const stored = new Map<number, number>();
  for (const id of idsOf((await cloud.readings(keyOf(hub))).map(({ reading }) => reading))) {
    stored.set(id, (stored.get(id) ?? 0) + 1);
  }
  const logs = await cloud.logs(keyOf(hub));
  const durable = new Set<number>();
  const [lost, inGaps, expired]: [number[], number[], number[]] = [[], [], []];
  for (const { log, flush, readings } of history) {
    for (const id of idsOf(readings)) {
      durable.add(id);
      if (stored.has(id)) continue;
      const known = logs.get(log.toString('hex'));
      if (known?.expired.has(flush)) expired.push(id);
      else if (known?.lost.has(flush)) inGaps.push(id);
      else lost.push(id);
    }
  }
  return {
    lost,
    doubled: [...stored].filter(([, count]) => count > 1).map(([id]) => id),
    inGaps,
    expired,
    invented: [...stored.keys()].filter((id) => !durable.has(id)),
  };
}

/** Fails unless everything is in the cloud exactly once, but for what `inGaps` names. */
export async function expectExactlyOnce(
  cloud: SmallCloud,
  hub: Member,
  history: History,
  inGaps: readonly number[] = [],
): Promise<void> {
  const verdict = await judge(cloud, hub, history);
  expect(verdict).to.deep.equal({ lost: [], doubled: [], inGaps: [...inGaps], expired: [], invented: [] });
}
