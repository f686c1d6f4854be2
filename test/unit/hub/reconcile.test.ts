// Comparing a log that two machines have written with a cloud that has let part of it expire.
import { expect } from 'chai';
import type { FlushDigest } from '../../../gen/occmesh/link/v1/link.js';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { Reconciler } from '../../../src/hub/reconcile.js';
import { epochMs } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { flushDigest } from '../../../src/telemetry/chain.js';
import { RangeSet } from '../../../src/telemetry/ranges.js';
import type { Flush } from '../../../src/telemetry/reading.js';
import type { StoredFlush } from '../../../src/wal/recent.js';
import type { Wal } from '../../../src/wal/wal.js';

const LOG = Buffer.alloc(16, 1);
const flushes: Flush[] = [1_000, 2_000, 3_000].map((at, number) => ({
  number,
  readings: [{ sensor: 1, takenAt: epochMs(at), state: State.OK, message: '', values: [] }],
}));

/** What of the log is acknowledged, and from where on it is written again. */
async function compared(digests: FlushDigest[]) {
  const acked = new RangeSet();
  let parted: number | undefined;
  const wal: Partial<Wal> = {
    chainAt: async () => undefined,
    read: async (_, first) => flushes.slice(first, first + 1) as StoredFlush[],
    ack: async (_, ranges) => acked.addAll(RangeSet.from(ranges)),
    reappend: async (_, from) => {
      parted = from;
    },
  };
  await new Reconciler(wal as Wal, silentLogger).compared(LOG, digests);
  return { acked: acked.toProto(), parted };
}

describe('a log that has parted from one that has expired in the cloud', () => {
  const expired = (flush: number, expiredUntilMs: number) => ({ flush, chain: Buffer.alloc(0), expiredUntilMs });

  it('is taken for the same as far as it is not later than what expired', async () => {
    expect(await compared([expired(0, 2_000), expired(1, 2_000)])).to.deep.equal({
      acked: [{ first: 0, count: 2 }],
      parted: undefined,
    });
  });

  it('is written again from where it is later: that cannot be what expired', async () => {
    expect(await compared([expired(0, 2_000), expired(1, 2_000), expired(2, 2_000)])).to.deep.equal({
      acked: [{ first: 0, count: 2 }],
      parted: 2,
    });
  });

  it('is still compared where the cloud can tell', async () => {
    const same = { flush: 0, chain: flushDigest(flushes[0]?.readings ?? []), expiredUntilMs: 0 };
    const other = { flush: 1, chain: flushDigest([]), expiredUntilMs: 9_000 };
    expect(await compared([same, other])).to.deep.equal({ acked: [{ first: 0, count: 1 }], parted: 1 });
  });
});
