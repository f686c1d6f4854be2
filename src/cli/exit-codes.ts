// Exit codes, for scripts and service managers: what they are, and which fault ends with which.
import { Fault } from '../kernel/fault.js';
import { systemCode } from '../kernel/system-error.js';

export const EXIT = {
  OK: 0,
  FAILED: 1,
  USAGE: 2,
  CONFIG: 3,
  PORT: 4,
  DATA: 5,
  IDENTITY: 6,
  UNREACHABLE: 7,
  DENIED: 8,
  NOT_FOUND: 9,
  REFUSED: 10,
  INTERRUPTED: 130,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.OK, 'done'],
  [EXIT.FAILED, 'failed; the message says why'],
  [EXIT.USAGE, 'the command line makes no sense'],
  [EXIT.CONFIG, 'a configuration file cannot be used'],
  [EXIT.PORT, 'the port is in use or not allowed'],
  [EXIT.DATA, 'the data directory is in use, damaged or cannot be written'],
  [EXIT.IDENTITY, 'identity or enrolment: no membership, a token or certificate that is not good'],
  [EXIT.UNREACHABLE, 'the cloud or a connector cannot be reached'],
  [EXIT.DENIED, 'the API token does not allow it'],
  [EXIT.NOT_FOUND, 'what was named does not exist, or the name is ambiguous'],
  [EXIT.REFUSED, 'not possible as things stand'],
  [EXIT.INTERRUPTED, 'ended by a signal'],
];

/** Fault codes, or their beginnings with a `*`, to exit codes. The first match counts. */
const BY_FAULT: readonly (readonly [string, ExitCode])[] = [
  ['cli.usage', EXIT.USAGE],
  ['cli.config', EXIT.CONFIG],
  ['cli.data', EXIT.DATA],
  ['cli.not-found', EXIT.NOT_FOUND],
  ['cli.ambiguous', EXIT.NOT_FOUND],
  ['cli.refused', EXIT.REFUSED],
  ['cli.interrupted', EXIT.INTERRUPTED],
  ['contract.port-*', EXIT.PORT],
  ['contract.cannot-listen', EXIT.PORT],
  ['contract.bad-setting', EXIT.CONFIG],
  ['contract.bad-certificate', EXIT.IDENTITY],
  ['contract.untrusted-peer', EXIT.IDENTITY],
  ['contract.unavailable', EXIT.UNREACHABLE],
  ['contract.proxy-refused', EXIT.UNREACHABLE],
  ['contract.deadline', EXIT.UNREACHABLE],
  ['contract.unauthenticated', EXIT.DENIED],
  ['contract.denied', EXIT.DENIED],
  ['contract.no-rule', EXIT.DENIED],
  ['contract.invalid', EXIT.USAGE],
  ['contract.not-found', EXIT.NOT_FOUND],
  ['contract.already-exists', EXIT.REFUSED],
  ['contract.precondition', EXIT.REFUSED],
  ['contract.aborted', EXIT.REFUSED],
  ['contract.exhausted', EXIT.REFUSED],
  ['discovery.bad-address', EXIT.CONFIG],
  ['identity.file-unusable', EXIT.DATA],
  ['identity.*', EXIT.IDENTITY],
  ['inventory.damaged', EXIT.DATA],
  ['membership.unreachable', EXIT.UNREACHABLE],
  ['membership.damaged', EXIT.DATA],
  ['membership.*', EXIT.IDENTITY],
  ['metrics.*', EXIT.PORT],
  ['restore.running', EXIT.DATA],
  ['restore.no-backup', EXIT.NOT_FOUND],
  ['restore.*', EXIT.REFUSED],
  ['storage.*', EXIT.DATA],
  ['wal.foreign', EXIT.IDENTITY],
  ['wal.*', EXIT.DATA],
];

/** What the program ends with when this was thrown. */
export function exitCodeOf(thrown: unknown): ExitCode {
  if (!(thrown instanceof Fault)) return isFileTrouble(thrown) ? EXIT.DATA : EXIT.FAILED;
  const matches = (pattern: string) =>
    pattern.endsWith('*') ? thrown.code.startsWith(pattern.slice(0, -1)) : thrown.code === pattern;
  return BY_FAULT.find(([pattern]) => matches(pattern))?.[1] ?? EXIT.FAILED;
}

const FILE_TROUBLES = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT', 'EEXIST', 'ENOTDIR', 'EISDIR']);

/** A file or directory that cannot be made, written or read: the operator's business, and no mistake of the program. */
export const isFileTrouble = (thrown: unknown): boolean =>
  thrown instanceof Error && 'path' in thrown && FILE_TROUBLES.has(systemCode(thrown) ?? '');
