// Shapes: which metrics a reading has, in which order. Written once per batch, however many readings share them.
import type { Metric } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { malformed } from './fault.js';
import { fitsUtf8, MAX_METRICS, MAX_NAME_BYTES, MAX_UNIT_BYTES, type MetricValue } from './reading.js';
import { FirstUse } from './runs.js';

/** The metrics of a reading without their values. */
export type Shape = readonly Metric[];

/** Numbers metrics and shapes in order of first use. */
export class ShapeWriter {
  readonly metrics: Metric[] = [];
  /** Flattened, as it is sent. */
  readonly shapes: number[] = [];
  readonly #metricNumbers = new Map<string, Map<string, number>>();
  readonly #shapeNumbers = new Map<string, number>();

  of(values: readonly MetricValue[]): number {
    const indexes = values.map(({ name, unit }) => this.#metric(name, unit));
    const key = indexes.join();
    const known = this.#shapeNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.#shapeNumbers.size;
    this.#shapeNumbers.set(key, number);
    this.shapes.push(indexes.length, ...indexes);
    return number;
  }

  #metric(name: string, unit: string): number {
    let byUnit = this.#metricNumbers.get(name);
    if (!byUnit) {
      byUnit = new Map();
      this.#metricNumbers.set(name, byUnit);
    }
    const known = byUnit.get(unit);
    if (known !== undefined) return known;
    const number = this.metrics.length;
    byUnit.set(unit, number);
    this.metrics.push({ name, unit });
    return number;
  }
}

/**
 * The shapes of received Columns, at most `limit`: as many as there are series. Throws telemetry.malformed; the work is
 * linear in what was received.
 */
export function readShapes(metrics: readonly Metric[], flattened: readonly number[], limit: number): Shape[] {
  for (const { name, unit } of metrics) {
    if (name === '' || !fitsUtf8(name, MAX_NAME_BYTES)) throw malformed('the name of a metric');
    if (!fitsUtf8(unit, MAX_UNIT_BYTES)) throw malformed('the unit of a metric');
  }
  const used = new FirstUse('metrics', metrics.length);
  const shapes: Shape[] = [];
  for (let at = 0; at < flattened.length; ) {
    if (shapes.length === limit) throw malformed('shapes that no series has');
    const width = flattened[at] as number;
    if (width > MAX_METRICS || at + width >= flattened.length) throw malformed('the width of a shape');
    const shape = flattened.slice(at + 1, at + 1 + width).map((index) => {
      used.use(index);
      return metrics[index] as Metric;
    });
    if (width > 1 && new Set(shape.map(({ name }) => name)).size !== width)
      throw malformed('a shape with a metric twice');
    shapes.push(shape);
    at += 1 + width;
  }
  used.end();
  return shapes;
}
