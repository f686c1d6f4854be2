// What of a running hub is counted or known anyway, put where it is measured. What only those know who do it (how long a
// run took, why a session ended), they say themselves.
import type { Clock } from '../kernel/clock.js';
import type { Instruments } from '../kernel/metrics.js';
import type { Wal } from '../wal/wal.js';
import type { Flusher } from './flusher.js';
import type { HUB_METRICS } from './metrics.js';
import type { PathFinder } from './path-finder.js';

export function measure(
  metrics: Instruments<typeof HUB_METRICS>,
  { finder, wal, flusher, clock }: { finder: PathFinder; wal: Wal; flusher: Flusher; clock: Clock },
): void {
  finder.onChange((path) => {
    if (path === 'connector' || path === 'direct') metrics.sessions.add(1, { path });
  });
  wal.onDurable(({ readings }) => metrics.written.add(readings.length));
  metrics.path.read(() => [[{ path: finder.state }, 1]]);
  metrics.waiting.read(() => wal.queuedReadings);
  metrics.waitingBytes.read(() => wal.backlogBytes);
  metrics.oldest.read(() => Math.max(0, clock.now() - (wal.oldestUnackedAt ?? clock.now())) / 1_000);
  metrics.dropped.read(() => [
    [{ reason: 'log-full' }, wal.droppedReadings],
    [{ reason: 'not-written' }, flusher.dropped],
  ]);
}
