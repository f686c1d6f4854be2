// Names to addresses for webhooks, and the rule which of them may be reached.
import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { isPublicAddress } from './public-address.js';

export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Rejects when there is none. The signal ends the wait. */
export type Resolve = (host: string, signal: AbortSignal) => Promise<Address[]>;

/**
 * Asks DNS itself: the system's resolver takes a thread for as long as it waits, and there are four for the whole process;
 * a slow name server of somebody who has a webhook must not stop the store.
 */
export const resolveByDns: Resolve = async (host, signal) => {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: 2_500, tries: 2 });
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    const asked = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)]);
    const [v4, v6] = asked.map((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    const found = [...(v4 ?? []).map(of(4)), ...(v6 ?? []).map(of(6))];
    if (found.length === 0) throw new Error(`there is no address of ${host}`);
    return found;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
};

/** As all programs here do: also names that are known in this network only. */
export const resolveBySystem: Resolve = async (host) => (await lookup(host, { all: true })).map(familiar);

/**
 * The addresses of a host name, or of an address itself as it stands in a URL. Rejects unless all of them are public: one
 * that is not among others is no accident.
 */
export async function publicAddresses(host: string, resolve: Resolve, signal: AbortSignal): Promise<Address[]> {
  const found = await addressesOf(host, resolve, signal);
  // Which address it is remains untold: names of internal machines are nobody's business.
  if (!found.every(({ address }) => isPublicAddress(address))) throw new Error(`${host} is not a public address`);
  return found;
}

export async function addressesOf(host: string, resolve: Resolve, signal: AbortSignal): Promise<Address[]> {
  const literal = host.replace(/^\[(.*)\]$/, '$1');
  return isIP(literal) === 0 ? await resolve(host, signal) : [{ address: literal, family: isIP(literal) as 4 | 6 }];
}

const of =
  (family: 4 | 6) =>
  (address: string): Address => ({ address, family });
const familiar = ({ address, family }: { address: string; family: number }): Address =>
  of(family === 6 ? 6 : 4)(address);
