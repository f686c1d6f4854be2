// Which protocol version two programs use, and what they can do beyond it: the rules under "Versions" in link.proto.
// Who has to say what when, is in the sessions and the trunk.
import { minutes } from '../kernel/duration.js';
import { LinkFault } from './fault.js';

/** Release 0.n speaks protocol version n and the two before it; ascending. */
export const VERSIONS: readonly number[] = [1];
/** Optional abilities of this release. */
const CAPABILITIES: readonly number[] = [];
/** A peer names no more. */
export const MOST_VERSIONS = 16;
export const MOST_CAPABILITIES = 64;

/** What a program speaks; others than this release's only in tests. */
export interface Speaks {
  readonly versions: readonly number[];
  readonly capabilities: readonly number[];
}

export const SPEAKS: Speaks = { versions: VERSIONS, capabilities: CAPABILITIES };

/** One side of a negotiation, for messages: `hub`, `connector`, `cloud`. */
export interface Side {
  readonly role: string;
  readonly versions: readonly number[];
}

/** The highest version that both speak. Faults: link.version, naming the side to be updated; link.protocol. */
export function agreeOnVersion(one: Side, other: Side): number {
  for (const { role, versions } of [one, other]) {
    if (versions.length > MOST_VERSIONS)
      throw new LinkFault('link.protocol', `the ${role} names ${versions.length} protocol versions`);
  }
  const common = one.versions.filter((version) => other.versions.includes(version));
  if (common.length > 0) return newest(common);
  const older = newest(one.versions) < newest(other.versions) ? one : other;
  const words = `the ${one.role} speaks ${list(one.versions)}, the ${other.role} ${list(other.versions)}`;
  const advice = `Update the ${older.role}.`;
  throw new LinkFault('link.version', `no protocol version in common: ${words}. ${advice}`, {
    permanent: true,
    // Whoever updates it starts it anew.
    retryAfter: minutes(5),
  });
}

/** What is to be said of a server that is older than whoever comes to it; undefined when it is not. */
export function olderServer(own: Side, server: Side): string | undefined {
  if (newest(server.versions) >= newest(own.versions)) return undefined;
  return `the ${server.role} is older than this ${own.role}, which works; it should have been updated first`;
}

/** What both can do. Faults: link.protocol. */
export function agreeOnCapabilities(own: readonly number[], theirs: readonly number[]): number[] {
  if (theirs.length > MOST_CAPABILITIES) throw new LinkFault('link.protocol', `${theirs.length} capabilities`);
  return own.filter((capability) => theirs.includes(capability));
}

const newest = (versions: readonly number[]): number => Math.max(0, ...versions);

const list = (versions: readonly number[]): string =>
  versions.length === 0 ? 'none' : `${versions.length === 1 ? 'version' : 'versions'} ${versions.join(', ')}`;
