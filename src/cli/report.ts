// An error as people read it: what happened, why, and what to do next.
import { CommanderError } from 'commander';
import { ContractFault } from '../contract/fault.js';
import { Fault, toError } from '../kernel/fault.js';
import { printable } from '../kernel/text.js';
import { EXIT, type ExitCode, exitCodeOf, isFileTrouble } from './exit-codes.js';
import { inFlags } from './output/fields.js';
import type { Terminal } from './terminal.js';

const MAX_CAUSES = 4;
const FILE_ADVICE = 'Check that it belongs to this user and that the disk has space, or name another place (--data).';

/** Tells standard error, and returns the exit code. */
export function report(thrown: unknown, terminal: Terminal): ExitCode {
  // Commander has written its own message by now; help and version are no errors.
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.OK : EXIT.USAGE;
  const error = toError(thrown);
  terminal.stderr.write(`occ: ${reasons(error).map(printable).join(': ')}\n`);
  if (error instanceof Fault) {
    if (error.advice !== undefined) terminal.stderr.write(`     ${printable(error.advice)}\n`);
  } else if (isFileTrouble(error)) {
    terminal.stderr.write(`     ${FILE_ADVICE}\n`);
  } else {
    terminal.stderr.write('     This is not expected. Set OCC_DEBUG=1 to see where it comes from, and report it.\n');
  }
  if (terminal.env.OCC_DEBUG) terminal.stderr.write(`${printable(error.stack ?? '')}\n`);
  return exitCodeOf(error);
}

/** The message and what its causes add to it. */
function reasons(error: Error): string[] {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error && parts.length < MAX_CAUSES; at = at.cause) {
    // What gRPC's own error says has become the fault's message already.
    if ('details' in at) break;
    // The contract's fields are flags here.
    const message = at instanceof ContractFault && at.code === 'contract.invalid' ? inFlags(at.message) : at.message;
    if (!parts.some((part) => part.includes(message))) parts.push(message);
  }
  return parts;
}

/** A call that a signal cut short tells of its own end only. */
export const wasCutShort = (thrown: unknown, { interrupted }: Terminal): boolean =>
  interrupted.aborted && thrown instanceof ContractFault && thrown.code === 'contract.cancelled';
