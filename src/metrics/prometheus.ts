// What a role measures, for Prometheus: instruments made of prom-client's metrics, and the text that they make at a look.
// https://prometheus.io/docs/instrumenting/exposition_formats/
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Instruments, Meters, MetricLine, MetricTable, Source } from '../kernel/metrics.js';

type Values = Readonly<Record<string, string>>;

const OTHER = 'other';

export class PrometheusMeters implements Meters {
  readonly #registry = new Registry();
  /** Told of sources that fail; what they would have said is left out. */
  readonly #onFailure: (name: string, thrown: unknown) => void;

  constructor(onFailure: (name: string, thrown: unknown) => void = () => undefined) {
    this.#onFailure = onFailure;
  }

  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;

  /** What Node and the operating system know of this process. */
  collectProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** Everything, as of now. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  instruments<T extends MetricTable>(table: T): Instruments<T> {
    const made = Object.entries(table).map(([key, line]) => [key, this.#instrument(line)]);
    return Object.fromEntries(made) as Instruments<T>;
  }

  #instrument(line: MetricLine) {
    const { name, help } = line;
    const labelNames = Object.keys(line.labels);
    const options = { name, help, labelNames, registers: [this.#registry] };
    const bounded = (values: Values = {}) => boundedBy(line, values);
    switch (line.kind) {
      case 'histogram': {
        const metric = new Histogram({ ...options, buckets: [...line.buckets] });
        return { observe: (seconds: number, values?: Values) => metric.observe(bounded(values), seconds) };
      }
      case 'counter': {
        const metric = new Counter({ ...options, collect: () => look() });
        let look = (): void | Promise<void> => undefined;
        // From the start, so that the first one is seen as an increase.
        begin(metric, line);
        return {
          add: (amount: number, values?: Values) => metric.inc(bounded(values), amount),
          read: (source: Source) => {
            look = this.#looker(line, metric, source);
          },
        };
      }
      case 'gauge': {
        const metric = new Gauge({ ...options, collect: () => look() });
        let look = (): void | Promise<void> => undefined;
        return {
          read: (source: Source) => {
            look = this.#looker(line, metric, source);
          },
        };
      }
    }
  }

  #looker(line: MetricLine, metric: Settable, source: Source): () => Promise<void> {
    return async () => {
      try {
        const found: unknown = await source();
        begin(metric, line);
        const all = typeof found === 'number' ? [[{}, found] as const] : (found as Iterable<[Values, number]>);
        for (const [values, amount] of all) metric.inc(boundedBy(line, values), amount);
      } catch (thrown) {
        metric.reset();
        // Without labels it would be nought now, which is not true either.
        if (Object.keys(line.labels).length === 0) metric.remove();
        this.#onFailure(line.name, thrown);
      }
    };
  }
}

/** What a counter and a gauge have in common. */
interface Settable {
  reset(): void;
  remove(): void;
  inc(labels: Values, amount: number): void;
}

/** Everything that may be is nought. */
function begin(metric: Settable, line: MetricLine): void {
  metric.reset();
  for (const values of combinations(line)) metric.inc(values, 0);
}

/** Whatever somebody says, there are only as many series as the table allows. */
function boundedBy({ labels }: MetricLine, values: Values): Values {
  const bounded = Object.entries(labels).map(([label, allowed]) => {
    const value = values[label] ?? OTHER;
    return [label, allowed === undefined || allowed.includes(value) ? value : OTHER];
  });
  return Object.fromEntries(bounded);
}

/** All that the labels may be; none when that is not known beforehand. */
function combinations({ labels }: MetricLine): Values[] {
  return Object.entries(labels).reduce<Values[]>(
    (all, [label, allowed = []]) => all.flatMap((values) => allowed.map((value) => ({ ...values, [label]: value }))),
    [{}],
  );
}
