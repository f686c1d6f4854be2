// Colours by meaning.
export type Tone = 'good' | 'warn' | 'bad' | 'odd' | 'quiet' | 'strong';

/** ANSI SGR codes (ECMA-48 section 8.3.117): on, off. */
const CODES: { readonly [T in Tone]: readonly [number, number] } = {
  good: [32, 39],
  warn: [33, 39],
  bad: [31, 39],
  odd: [35, 39],
  quiet: [2, 22],
  strong: [1, 22],
};

/** Paints text, or does not. */
export type Paint = (tone: Tone | undefined, text: string) => string;

export const plain: Paint = (_tone, text) => text;

export const coloured: Paint = (tone, text) => {
  if (tone === undefined || text === '') return text;
  const [on, off] = CODES[tone];
  return `\u001b[${on}m${text}\u001b[${off}m`;
};
