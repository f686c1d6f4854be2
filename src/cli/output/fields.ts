// What the cloud says about a field of a request, in the words of the command line: it was given as a flag.
import { span } from './times.js';

const BOUNDS = /^([a-z_]+_ms): must be (\d+) to (\d+), is (\d+)$/;

/** `interval_ms: must be 1000 to 86400000, is 1` → `--interval: must be 1s to 1d, is 1ms`. */
export function inFlags(message: string): string {
  const bounds = BOUNDS.exec(message);
  const text = bounds
    ? `${bounds[1]}: must be ${span(Number(bounds[2]))} to ${span(Number(bounds[3]))}, is ${span(Number(bounds[4]))}`
    : message;
  return text.replace(/\b([a-z]+(?:_[a-z]+)*)_ms\b/g, (_, name: string) => `--${name.replaceAll('_', '-')}`);
}
