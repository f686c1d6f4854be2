// What the figures should be on a machine with two cores: the target, and what would be better still.

export interface Target {
  readonly part: string;
  readonly figure: string;
  /** Undefined: wherever the figure is measured. */
  readonly at?: string;
  readonly better: 'less' | 'more';
  readonly target: number;
  readonly stretch: number;
}

const less = (target: number, stretch: number) => ({ better: 'less', target, stretch }) as const;
const more = (target: number, stretch: number) => ({ better: 'more', target, stretch }) as const;

export const TARGETS: readonly Target[] = [
  { part: 'ingest', figure: 'readings per second', at: 'batches of 500', ...more(500_000, 1_000_000) },
  { part: 'ingest', figure: 'CPU per million, all roles', at: 'batches of 100', ...less(5, 3) },
  { part: 'ingest', figure: 'CPU per million, all roles', at: 'batches of 500', ...less(2, 1) },
  { part: 'ingest', figure: 'on the wire per reading', at: 'batches of 100', ...less(3, 1.5) },
  { part: 'ingest', figure: 'on the wire per reading', at: 'batches of 500', ...less(3, 1.5) },
  { part: 'ingest', figure: 'in the cloud store per reading, all merged', at: 'batches of 100', ...less(3, 1.5) },
  { part: 'ingest', figure: 'in the cloud store per reading, all merged', at: 'batches of 500', ...less(3, 1.5) },
  { part: 'drain', figure: 'time to empty', at: 'RTT 100 ms', ...less(10, 4) },
  { part: 'drain', figure: 'live p99, draining to idle', ...less(3, 1.5) },
  { part: 'footprint', figure: 'memory of a hub', ...less(90, 75) },
  { part: 'footprint', figure: 'CPU of a hub', ...less(0.5, 0.2) },
  { part: 'scale', figure: 'cloud memory per hub', ...less(8, 3) },
  { part: 'scale', figure: 'sessions back after a cloud restart', at: '10,000 sessions', ...less(120, 45) },
  { part: 'query', figure: 'latest of all sensors longest', ...less(100, 50) },
  { part: 'query', figure: 'buckets p99', ...less(20, 10) },
  { part: 'noisy', figure: 'live p99, to alone', ...less(2, 1.5) },
  { part: 'noisy', figure: 'question p99, to alone', ...less(2, 1.5) },
];

/** The target of a figure, if it has one. */
export function targetOf(part: string, figure: string, at: string): Target | undefined {
  return TARGETS.find((one) => one.part === part && one.figure === figure && (one.at ?? at) === at);
}

/** Whether a value is as good as a bound, in the sense of its target. */
export const reaches = (value: number, bound: number, { better }: Target): boolean =>
  better === 'less' ? value <= bound : value >= bound;
