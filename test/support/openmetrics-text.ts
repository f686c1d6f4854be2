// A strict reader of OpenMetrics 1.0 texts that hold gauges, written from the specification and not from the writer:
// https://prometheus.io/docs/specs/om/open_metrics_spec/.
import { type Family, type Sample, sampleOf } from './prometheus-text.js';

export function parseOpenMetrics(text: string): Map<string, Family> {
  const lines = text.split('\n');
  if (lines.pop() !== '') throw new Error('the last line has no end');
  if (lines.pop() !== '# EOF') throw new Error('it is cut off');
  const families = new Map<string, { name: string; type: string; help: string; samples: Sample[] }>();
  const seen = new Set<string>();
  let family: { name: string; type: string; help: string; samples: Sample[] } | undefined;
  for (const line of lines) {
    const [, keyword, about = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
    if (keyword === 'TYPE') {
      if (families.has(about)) throw new Error(`${about} is in two places`);
      if (rest !== 'gauge') throw new Error(`no gauge: ${line}`);
      family = { name: about, type: rest, help: '', samples: [] };
      families.set(about, family);
    } else if (keyword === 'HELP') {
      if (family?.name !== about || family.help !== '') throw new Error(`help in the wrong place: ${line}`);
      family.help = rest;
    } else {
      const sample = sampleOf(line);
      if (sample.name !== family?.name) throw new Error(`a sample of no family: ${line}`);
      const series = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (seen.has(series)) throw new Error(`twice: ${line}`);
      seen.add(series);
      family.samples.push(sample);
    }
  }
  return families;
}
