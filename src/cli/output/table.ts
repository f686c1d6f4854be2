// Tables for people: no lines, two spaces between columns, headings in capitals. Cells are made safe here, so that no
// command can forget it.
import Table from 'cli-table3';
import type { Paint, Tone } from './colour.js';
import { oneLine } from './text.js';

/** A cell: text, or text with a tone. */
export type Cell = string | { readonly text: string; readonly tone: Tone | undefined };

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** The table as text, ending with a line end. */
export function table(headings: readonly string[], rows: readonly (readonly Cell[])[], paint: Paint): string {
  const made = new Table({ chars: NO_LINES, style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 } });
  made.push(headings.map((heading) => paint('quiet', heading)));
  for (const row of rows) made.push(row.map((cell) => show(cell, paint)));
  const lines = made.toString().split('\n');
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function show(cell: Cell, paint: Paint): string {
  return typeof cell === 'string' ? oneLine(cell) : paint(cell.tone, oneLine(cell.text));
}
