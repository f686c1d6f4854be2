// Text from elsewhere, made safe to show: names and messages come from machines that nobody vouches for, and a terminal
// takes orders (colours, titles, even keystrokes) from control characters.

// Control characters but line ends, and those that change the direction of what follows.
const UNPRINTABLE = /(?!\n)[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** The text with everything a terminal would obey replaced. Line ends stay. */
export const printable = (text: string): string => text.replaceAll(UNPRINTABLE, '\ufffd');

/** The same, as one line of at most `limit` characters. */
export function oneLine(text: string, limit = 160): string {
  const line = printable(text.replaceAll(/\s*[\r\n\t]+\s*/g, ' ')).trim();
  const characters = [...line];
  return characters.length <= limit ? line : `${characters.slice(0, limit - 1).join('')}…`;
}
