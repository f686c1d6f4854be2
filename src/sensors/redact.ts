// What sensors say of a run in which they were given secrets: whatever a library, a server or a plugin quotes of them is
// taken out. Kinds use words of their own all the same; this is the net below.
import type { Secrets } from './kind.js';

const MASK = '***';
/** Taking out less would tell what it was, and make the rest unreadable. */
const MIN_LENGTH = 4;

export interface Redactor {
  /** The secrets, to be handed to the sensor. */
  readonly secrets: Secrets;
  /** The text without any that were handed out, as they are or as encodings write them; before they are wiped. */
  redact(text: string): string;
}

export function redactor(secrets: Secrets): Redactor {
  const handedOut = new Set<Buffer>();
  return {
    secrets: {
      async get(field) {
        const plaintext = await secrets.get(field);
        if (plaintext) handedOut.add(plaintext);
        return plaintext;
      },
    },
    redact(text) {
      return [...handedOut].flatMap(spellings).reduce((left, spelling) => left.replaceAll(spelling, MASK), text);
    },
  };
}

/** A secret of several lines (an option file, a key) is looked for line by line. */
function spellings(plaintext: Buffer): string[] {
  const whole = plaintext.toString('utf8');
  const texts = [whole, ...whole.split(/\r?\n/).map((line) => line.trim())].filter((text) => text.length >= MIN_LENGTH);
  const encoded = texts.flatMap((text) => [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    Buffer.from(text).toString('base64'),
  ]);
  return [...new Set(encoded)].sort((a, b) => b.length - a.length);
}
