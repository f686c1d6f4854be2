// Regular expressions of operators, kept from hanging the program: JavaScript's matching can take exponential time
// (`^(a+)+$`), and it blocks everything while it does. Node can interrupt a script, so the matching runs as one.
import { createContext, Script } from 'node:vm';
import { SensorFault } from './fault.js';

/** Of wall time, as Node measures it: a harmless pattern must not fail because the machine is busy. */
const LIMIT_MS = 1_000;
const script = new Script('texts.map((text) => pattern.test(text))');
let context: { pattern?: RegExp; texts?: readonly string[] } | undefined;

/** For each text whether the pattern matches. Throws `sensor.pattern` when all together take longer than a second. */
export function matchAll(pattern: string, texts: readonly string[]): boolean[] {
  context ??= createContext({});
  context.pattern = new RegExp(pattern, 'm');
  context.texts = texts;
  try {
    return script.runInContext(context, { timeout: LIMIT_MS });
  } catch (cause) {
    throw new SensorFault('sensor.pattern', `the pattern ${pattern} takes too long`, { cause, permanent: true });
  } finally {
    context.texts = [];
  }
}
