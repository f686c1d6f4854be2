// What is written down: the hub's log, which syncs, and the cloud's ledger.
import { LedgerEntry } from '../../../gen/occmesh/store/v1/store.js';
import { HubLedger } from '../../../src/cloud/telemetry/ledger.js';
import { systemClock as clock } from '../../../src/kernel/clock.js';
import { silentLogger as log } from '../../../src/kernel/log.js';
import { systemRandom as random } from '../../../src/kernel/random.js';
import { Wal } from '../../../src/wal/wal.js';
import type { Operation } from './operation.js';
import { flushOf } from './telemetry.js';

const ID = Buffer.alloc(16, 1);

/** `wal` is written to, and none of it is ever acknowledged. */
export function ofRecords(wal: Wal): Operation[] {
  const { readings } = flushOf(100);
  return [
    {
      figure: 'append to the log of a hub, synced',
      at: 'flush of 100 readings',
      things: 1,
      run: { inTurn: () => wal.append(readings) },
    },
    { figure: 'update a ledger', at: 'batch of one flush', things: 1, run: ledgerUpdate() },
  ];
}

export function openLog(directory: string): Promise<Wal> {
  const signGap = () => {
    throw new Error('nothing of this log is lost');
  };
  return Wal.open({ directory, machineId: Buffer.alloc(16) }, { clock, random, log, signGap });
}

/** As the cloud does it for each batch, without the store. */
function ledgerUpdate(): () => unknown {
  const ledger = new HubLedger();
  const entry = LedgerEntry.fromPartial({
    ...{ flushCount: 1, chain: ID, readingCount: 100 },
    ...{ earliestMs: 1_750_000_000_000, latestMs: 1_750_000_001_000 },
  });
  let next = 0;
  return () => {
    const first = next++;
    const known = ledger.look(ID);
    if (known.overlaps(first, 1) || known.isApart(first, 1) !== (first === 0)) throw new Error('the ledger is wrong');
    ledger.log(ID).hold(first, entry);
    return LedgerEntry.encode(entry).finish();
  };
}
