// Text from elsewhere as one line that does nothing but be read: names and messages come from customers and machines.

// Control characters, line ends of all kinds, and those that change the direction of what follows.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;

export function plainLine(text: string, limit: number): string {
  const characters = [...text.replaceAll(UNPRINTABLE, ' ').trim()];
  return characters.length <= limit ? characters.join('') : `${characters.slice(0, limit - 1).join('')}…`;
}
