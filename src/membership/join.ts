// Makes sure that a machine is a member: loads its membership, or enrols with a token, over a connector where there is
// one and straight to the cloud otherwise.
import { arch, hostname, release } from 'node:os';
import { type EnrollmentToken, type MachineInfo, Role } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { formatAddress } from '../discovery/hint.js';
import { SsdpSearcher } from '../discovery/searcher.js';
import { TrustBundle } from '../identity/certificates.js';
import { machineFingerprint } from '../identity/machine-id.js';
import { uuidText } from '../identity/uuid.js';
import { type Clock, sleep } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import { backoff } from '../kernel/retry.js';
import { SOFTWARE } from '../kernel/software.js';
import { type CarrierAddress, carrierCall } from './carrier.js';
import { MembershipFault } from './fault.js';
import { loadMembership } from './machine-files.js';

export interface JoinOptions {
  readonly token: EnrollmentToken | undefined;
  /** The connector's too, for a connector. */
  readonly directories: { readonly hub: string; readonly connector?: string };
  /** Connectors given by hand, host:port. */
  readonly connectors: readonly string[];
  readonly multicast: boolean;
  /** May a hub ask the cloud itself, where no connector answers? */
  readonly directAllowed: boolean;
  readonly interfaces?: readonly string[];
  readonly ssdpPort?: number;
  readonly proxy?: string;
}

export interface JoinModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Ends the waiting for somebody to answer. */
  readonly signal?: AbortSignal;
}

const SEARCH = seconds(3);

/**
 * Resolves when every directory holds a membership. Waits for a connector or the cloud to answer, for as long as it
 * takes. Faults: membership.missing (no token, and not a member), membership.refused, membership.damaged,
 * membership.other-machine; the signal's reason.
 */
export async function join(options: JoinOptions, modules: JoinModules): Promise<void> {
  const { clock, random, log, signal } = modules;
  const fingerprint = await machineFingerprint();
  const { hub, connector } = options.directories;
  const directories = connector === undefined ? [hub] : [connector, hub];
  const found = await Promise.all(directories.map((directory) => loadMembership(directory, fingerprint)));
  if (found.every((membership) => membership !== undefined)) {
    if (options.token) log.info('already a member; the token is not used');
    return;
  }
  const { token } = options;
  if (!token) {
    throw new MembershipFault('membership.missing', `${directories.join(' and ')}: not a member of any mesh yet`, {
      permanent: true,
      advice: 'Start it once with --token-file FILE ("occ tokens create" makes the file).',
    });
  }
  const info: MachineInfo = {
    hostname: hostname(),
    os: process.platform,
    osVersion: release(),
    arch: arch(),
    fingerprint: fingerprint ?? '',
    software: SOFTWARE,
  };
  const call = carrierCall(
    {
      trust: new TrustBundle(token.caCertificates),
      customerId: uuidText(token.customerId),
      addresses: () => addresses(options, token, modules),
      ...defined({ proxy: options.proxy }),
    },
    modules,
  );
  // Once in the life of a machine: what makes requests for certificates is large.
  const { enrol } = await import('./enrol.js');
  for (const wait of backoff({ first: seconds(2), factor: 1.6, cap: minutes(1) }, random)) {
    try {
      await enrol({ token, directories: options.directories, info, now: clock.now() }, call);
      log.info('enrolled');
      return;
    } catch (thrown) {
      signal?.throwIfAborted();
      if (!(thrown instanceof MembershipFault) || thrown.permanent) throw thrown;
      log.warn({ cause: describe(thrown) }, 'not enrolled yet; trying again');
      await sleep(clock, wait, signal);
    }
  }
}

/** A hub looks for connectors first, because it may have no internet; a connector is what others look for. */
async function* addresses(
  options: JoinOptions,
  token: EnrollmentToken,
  modules: JoinModules,
): AsyncGenerator<CarrierAddress> {
  const cloud = { address: token.cloud, role: 'cloud' } as const;
  if (token.role === Role.CONNECTOR) {
    yield cloud;
    return;
  }
  const known = [...new Set([...options.connectors, ...token.connectors])];
  for (const address of known) yield { address, role: 'connector' };
  let found = known.length > 0;
  if (options.multicast) {
    const { interfaces, ssdpPort } = options;
    const searcher = new SsdpSearcher(defined({ interfaces, ssdpPort }), modules);
    const never = new AbortController().signal;
    for (const hint of await searcher.search(SEARCH, modules.signal ?? never)) {
      found = true;
      yield { address: formatAddress(hint), role: 'connector' };
    }
  }
  if (!options.directAllowed) return;
  // Else only the cloud would be complained of, which a hub may never have been meant to reach.
  if (!found) modules.log.info('no connector was found (name it with --connector host:port); asking the cloud itself');
  yield cloud;
}
