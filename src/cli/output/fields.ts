// What the cloud says about a field of a request, in the words of the command line: it was given as a flag.
import { span } from './times.js';

const BOUNDS = /^([a-z_]+_ms): must be (\d+) to (\d+), is (\d+)$/;

const RELATION = /^([a-z_]+_ms: must be less than [a-z_]+_ms) \((\d+)\), is (\d+)$/;
/** Parts of a message of the contract that are flags of their own. */
const PARTS = [
  [/^thresholds\[\d+\]\.[a-z_]+(?=: )/, () => '--warn or --crit'],
  [/^bucket(?:_ms)?(?=: )/, () => '--every'],
  [/^schedule\.([a-z_]+)(?=: )/, (_: string, name: string) => `--${name.replaceAll('_', '-')}`],
] as const;

/** `interval_ms: must be 1000 to 86400000, is 1` → `--interval: must be 1s to 1d, is 1ms`. */
export function inFlags(message: string): string {
  const bounds = BOUNDS.exec(message);
  const relation = RELATION.exec(message);
  let text = message;
  if (bounds) {
    text = `${bounds[1]}: must be ${span(Number(bounds[2]))} to ${span(Number(bounds[3]))}, is ${span(Number(bounds[4]))}`;
  } else if (relation) {
    text = `${relation[1]} (${span(Number(relation[2]))}), is ${span(Number(relation[3]))}`;
  }
  for (const [part, flag] of PARTS) text = text.replace(part, flag);
  return text.replace(/\b([a-z]+(?:_[a-z]+)*)_ms\b/g, (_, name: string) => `--${name.replaceAll('_', '-')}`);
}
