// Performance data of monitoring plugins: 'label'=value[UOM];[warn];[crit];[min];[max], separated by spaces.
// Plugins are written by many hands, so what cannot be read is skipped up to the next space and the rest is kept.
// https://www.monitoring-plugins.org/doc/guidelines.html#AEN197

export interface PerfValue {
  readonly label: string;
  readonly value: number;
  /** As the plugin wrote it: `s`, `ms`, `%`, `B`, `KB`, `c`, … or empty. */
  readonly unit: string;
  /** Ranges as the plugin wrote them; empty when it gave none. */
  readonly warning: string;
  readonly critical: string;
  readonly min: number | undefined;
  readonly max: number | undefined;
}

const MAX_VALUES = 256;
// The comma is what plugins write that forget to set the locale.
const VALUE = /^([+-]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][+-]?\d{1,3})?)([^\d;]{0,16})$/;
const isSpace = (character: string | undefined) => character !== undefined && /\s/.test(character);

function skipSpaces(text: string, from: number): number {
  let at = from;
  while (isSpace(text[at])) at++;
  return at;
}

function endOfWord(text: string, from: number): number {
  let at = from;
  while (at < text.length && !isSpace(text[at])) at++;
  return at;
}

/** The label that begins at `from`, and where its equals sign is; undefined when there is no such label. */
function readLabel(text: string, from: number): { label: string; equals: number } | undefined {
  if (text[from] !== "'") {
    const word = text.slice(from, endOfWord(text, from));
    const equals = word.indexOf('=');
    return equals > 0 ? { label: word.slice(0, equals), equals: from + equals } : undefined;
  }
  let label = '';
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] !== "'") label += text[at];
    else if (text[at + 1] === "'") {
      label += "'";
      at++;
    } else return text[at + 1] === '=' && label !== '' ? { label, equals: at + 1 } : undefined;
  }
  return undefined;
}

function number(text: string | undefined): number | undefined {
  const match = VALUE.exec(text ?? '');
  const value = match ? Number((match[1] ?? '').replace(',', '.')) : Number.NaN;
  return Number.isFinite(value) ? value : undefined;
}

/** Reads all values it can, at most 256; `U` (could not be determined) and what is broken is left out. */
export function parsePerfdata(text: string): PerfValue[] {
  const values: PerfValue[] = [];
  let at = skipSpaces(text, 0);
  while (at < text.length && values.length < MAX_VALUES) {
    const head = readLabel(text, at);
    const start = head ? head.equals + 1 : at;
    const end = endOfWord(text, start);
    if (head) {
      const [first = '', warning = '', critical = '', min, max] = text.slice(start, end).split(';');
      const value = number(first);
      const unit = VALUE.exec(first)?.[2] ?? '';
      if (value !== undefined) {
        values.push({ label: head.label.trim(), value, unit, warning, critical, min: number(min), max: number(max) });
      }
    }
    at = skipSpaces(text, end);
  }
  return values;
}
