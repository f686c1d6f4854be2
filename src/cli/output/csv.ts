// Comma-separated values (RFC 4180, UTF-8), safe to open with a spreadsheet.

/** A spreadsheet takes what begins so for a formula, and names and messages come from machines that nobody vouches for. */
const FORMULA = /^[=+\-@\t\r]/;

/** Texts that look like formulas get an apostrophe in front (https://owasp.org/www-community/attacks/CSV_Injection). */
export function csvLine(cells: readonly (string | number | undefined)[]): string {
  return `${cells.map(cell).join(',')}\r\n`;
}

function cell(value: string | number | undefined): string {
  if (value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
