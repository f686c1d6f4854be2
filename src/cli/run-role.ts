// A role as a service: start, stay until a signal, stop in order.
import type { Logger } from '../kernel/log.js';
import { Scope } from '../kernel/scope.js';
import type { Terminal } from './terminal.js';

/**
 * Starts the role into the scope and resolves after its clean end. A signal while it still starts rejects at once with
 * cli.interrupted: what was half begun ends with the process.
 */
export async function runRole(terminal: Terminal, log: Logger, start: (scope: Scope) => Promise<void>): Promise<void> {
  await using scope = new Scope();
  const { interrupted } = terminal;
  await Promise.race([start(scope), untilAborted(interrupted).then(() => interrupted.throwIfAborted())]);
  await untilAborted(interrupted);
  log.info('stopping');
  await scope.stop(interrupted.reason);
  log.info('stopped');
}

function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
