// A reader of the Prometheus text format 0.0.4, written from its description and without the library that writes it here:
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. Strict: whatever it does not know is an
// error.
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const LINE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^\n]*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = {
  counter: [''],
  gauge: [''],
  summary: ['', '_sum', '_count'],
  histogram: ['_bucket', '_sum', '_count'],
};

export function parsePrometheus(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const families = new Map<string, { name: string; type: string; help: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let family: { name: string; type: string; help: string; samples: Sample[] } | undefined;
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue;
    const [, keyword, about = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (families.has(about)) throw new Error(`${about} is described twice`);
      family = { name: about, type: '', help: rest, samples: [] };
      families.set(about, family);
    } else if (keyword === 'TYPE') {
      if (family?.name !== about || family.type !== '') throw new Error(`a type in the wrong place: ${line}`);
      if (!(rest in SUFFIXES)) throw new Error(`no such type: ${rest}`);
      family.type = rest;
    } else {
      const sample = sampleOf(line);
      const suffixes = SUFFIXES[family?.type ?? ''] ?? [];
      if (!family || !suffixes.some((suffix) => sample.name === family?.name + suffix)) {
        throw new Error(`a sample of no family: ${line}`);
      }
      const series = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (seen.has(series)) throw new Error(`twice: ${line}`);
      seen.add(series);
      family.samples.push(sample);
    }
  }
  return families;
}

const INFINITIES: Readonly<Record<string, number>> = {
  '+Inf': Number.POSITIVE_INFINITY,
  '-Inf': Number.NEGATIVE_INFINITY,
};

export function sampleOf(line: string): Sample {
  const [, name, inBraces = '', number = ''] = LINE.exec(line) ?? [];
  if (name === undefined) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  for (let rest = inBraces; rest !== ''; ) {
    const [whole, label, value] = LABEL.exec(rest) ?? [];
    if (whole === undefined || label === undefined || value === undefined) throw new Error(`no label: ${rest}`);
    if (label in labels) throw new Error(`twice: ${label}`);
    labels[label] = value.replaceAll(/\\([\s\S])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(whole.length);
  }
  // As Go's ParseFloat reads it: NaN in any letter case.
  const value = INFINITIES[number] ?? Number(number);
  if (Number.isNaN(value) && number.toLowerCase() !== 'nan') throw new Error(`no number: ${line}`);
  return { name, labels, value };
}

/** The sum of all samples of this name whose labels include these. */
export function metricValue(families: Map<string, Family>, name: string, labels: Record<string, string> = {}): number {
  const all = [...families.values()].flatMap(({ samples }) => samples).filter((sample) => sample.name === name);
  if (all.length === 0) throw new Error(`${name} is not told`);
  return all
    .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);
}
