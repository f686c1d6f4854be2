// Text from elsewhere as what people may be shown: names and messages come from machines and customers that nobody
// vouches for, and a terminal takes orders (colours, titles, even keystrokes) from control characters.

/** Control characters, line ends of all kinds, halves of characters, and what changes the direction of what follows. */
const UNPRINTABLE = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_C}]/gu;
const BETWEEN_WORDS = /[\s\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Bidi_C}]+/gu;

export const isPrintable = (text: string): boolean => text.search(UNPRINTABLE) < 0;

/** The text with everything replaced that is not printable. Line feeds stay. */
export const printable = (text: string): string =>
  text.replaceAll(UNPRINTABLE, (found) => (found === '\n' ? found : '\ufffd'));

/** One printable line of at most `limit` characters (code points). */
export function plainLine(text: string, limit = Number.POSITIVE_INFINITY): string {
  const characters = [...text.replaceAll(BETWEEN_WORDS, ' ').trim()];
  return characters.length <= limit ? characters.join('') : `${characters.slice(0, limit - 1).join('')}…`;
}
