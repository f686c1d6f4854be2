// Fills the log of a hub that does not run, as if it had measured for a long time without a path: the program's own log
// and journal, readings of the test's making. A backlog of any size in a moment.
import { join } from 'node:path';
import type { HubProcess } from '../../src/demo/mesh.js';
import { Journal } from '../../src/hub/journal.js';
import { signContent } from '../../src/identity/signed.js';
import { TAGS } from '../../src/identity/tags.js';
import { uuidBytes } from '../../src/identity/uuid.js';
import { systemClock } from '../../src/kernel/clock.js';
import { type EpochMs, epochMs, seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { type Random, systemRandom } from '../../src/kernel/random.js';
import { loadMembership } from '../../src/membership/machine-files.js';
import { Wal } from '../../src/wal/wal.js';

/** A sensor number that no desired state gives in a test. */
export const FED_SENSOR = 900_001;

export interface FeedOptions {
  readonly readings: number;
  readonly random: Random;
  /** Of the first reading; the next ones follow at one second each. */
  readonly from: EpochMs;
}

const PER_FLUSH = 50;

/** Resolves when everything is durable. The hub must not run. */
export async function feed(hub: HubProcess, options: FeedOptions): Promise<void> {
  const membership = await loadMembership(hub.directory, undefined);
  if (!membership) throw new Error(`${hub.name} is no member`);
  const journal = new Journal(hub.journal);
  try {
    await using wal = await Wal.open(
      { directory: join(hub.directory, 'log'), machineId: uuidBytes(membership.certificate.identity.machineId) },
      {
        clock: systemClock,
        random: systemRandom,
        log: silentLogger,
        signGap: (content) => signContent(membership.identity, TAGS.GAP, content),
      },
    );
    wal.onDurable((flush) => journal.record(flush));
    const pending: Promise<unknown>[] = [];
    for (let made = 0; made < options.readings; made += PER_FLUSH) {
      const count = Math.min(PER_FLUSH, options.readings - made);
      const readings = Array.from({ length: count }, (_, i) => ({
        sensor: FED_SENSOR,
        takenAt: epochMs(options.from + (made + i) * seconds(1)),
        state: 1,
        message: '',
        // Nothing that columns or DEFLATE could make small.
        values: ['a', 'b', 'c'].map((name) => ({ name, unit: '', value: options.random.uniform() })),
      }));
      pending.push(wal.append(readings));
    }
    await Promise.all(pending);
  } finally {
    await journal.stop();
  }
}
