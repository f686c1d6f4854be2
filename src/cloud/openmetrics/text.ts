// The text format that Prometheus scrapes, OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/open_metrics_spec/):
// gauges without timestamps, so that a series that is told no more is over at once for whoever scrapes it.

export const CONTENT_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8';

/** A text without it is cut off, and is not taken over. */
export const END = '# EOF\n';

export const gauge = (name: string, help: string): string => `# TYPE ${name} gauge\n# HELP ${name} ${escaped(help)}\n`;

export type Labels = Readonly<Record<string, string>>;

/** What stands between the braces. */
export const labelled = (labels: Labels): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',');

/** `labels` as `labelled` makes them. */
export const sample = (name: string, labels: string, value: number): string => `${name}{${labels}} ${decimal(value)}\n`;

const decimal = (value: number): string => {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
};

const SPECIAL = /[\\"\p{Cc}]/u;

/**
 * Of control characters the format knows the line feed only, and there are parsers that give up at a NUL: one hub that
 * has such a name must not be the end of all others' values. They become their Unicode pictures.
 */
function escaped(text: string): string {
  if (!SPECIAL.test(text)) return text;
  return text
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll(/\p{Cc}/gu, (control) =>
      control < ' ' ? String.fromCharCode(0x2400 + control.charCodeAt(0)) : control,
    );
}
