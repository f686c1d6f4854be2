// What is missing of the readings that were asked for, in words.
import { MissingReason, type MissingSpan } from '../../client/index.js';
import { iso } from './times.js';
import { gapReasonWord } from './words.js';

const SHOWN = 5;

/** Empty when nothing is. */
export function missingNote(spans: readonly MissingSpan[]): string {
  const lines = spans.slice(0, SHOWN).map((span) => `Readings are missing: ${whyOf(span)}, ${whenOf(span)}.`);
  const more = spans.length - lines.length;
  return [...lines, ...(more > 0 ? [`Readings are missing in ${more} more spans.`] : [])].join('\n');
}

/** Those that say something, as the note of an answer. */
export function noteOf(notes: readonly (string | undefined)[]): { note?: string } {
  const said = notes.filter((note) => note);
  return said.length > 0 ? { note: said.join('\n') } : {};
}

function whyOf({ reason, gapReason }: MissingSpan): string {
  switch (reason) {
    case MissingReason.LOST:
      return `lost (${gapReasonWord(gapReason)})`;
    case MissingReason.OUTSTANDING:
      return 'announced and not yet here';
    case MissingReason.AWAY:
      return 'the hub is not there';
    default:
      return 'the reason is unknown here';
  }
}

const whenOf = ({ fromMs, untilMs }: MissingSpan): string => `between ${iso(fromMs)} and ${iso(untilMs)}`;
