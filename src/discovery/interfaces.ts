// Which of this machine's network interfaces discovery uses, and what belongs to the subnet of each. IPv4 only: SSDP
// over IPv6 has other groups and is not offered.
import { BlockList, isIPv4 } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { formatAddress } from './hint.js';

/** One IPv4 address of this machine. */
export interface LocalInterface {
  readonly name: string;
  readonly address: string;
  /** Name, address and subnet as one text: the same text, the same interface. */
  readonly key: string;
  /** True for a literal IPv4 address inside this interface's subnet. */
  contains(address: string): boolean;
}

/** Asks the operating system; tests hand in their own. */
export type InterfaceSource = () => NodeJS.Dict<NetworkInterfaceInfo[]>;

export const systemInterfaces: InterfaceSource = networkInterfaces;

/**
 * The addresses to use: those that `wanted` names (by interface name or by address), by default every one that is not
 * internal. Loopback is used only when named.
 */
export function selectInterfaces(source: InterfaceSource, wanted?: readonly string[]): LocalInterface[] {
  const found: LocalInterface[] = [];
  for (const [name, infos] of Object.entries(source())) {
    for (const info of infos ?? []) {
      if (info.family !== 'IPv4') continue;
      const use = wanted ? wanted.includes(name) || wanted.includes(info.address) : !info.internal;
      if (use) found.push(localInterface(name, info.address, info.netmask));
    }
  }
  return found;
}

/** Those of `wanted` that this machine does not have now, or without an IPv4 address. */
export const absentInterfaces = (source: InterfaceSource, wanted: readonly string[]): string[] =>
  wanted.filter((one) => selectInterfaces(source, [one]).length === 0);

export function localInterface(name: string, address: string, netmask: string): LocalInterface {
  const subnet = new BlockList();
  subnet.addSubnet(address, prefixLength(netmask), 'ipv4');
  const key = `${name} ${address} ${netmask}`;
  return { name, address, key, contains: (other) => isIPv4(other) && subnet.check(other, 'ipv4') };
}

/** 24 for 255.255.255.0. */
function prefixLength(netmask: string): number {
  return netmask.split('.').reduce((bits, part) => bits + Number(part).toString(2).replaceAll('0', '').length, 0);
}

/** Where a listener can be reached from its LAN, host:port: its own address, or those of the interfaces when on all. */
export function lanAddresses(
  wanted: readonly string[] | undefined,
  bound: { readonly address: string; readonly port: number },
): string[] {
  const everywhere = bound.address === '0.0.0.0' || bound.address === '::';
  if (!everywhere) return [formatAddress({ host: bound.address, port: bound.port })];
  return selectInterfaces(systemInterfaces, wanted).map(({ address }) =>
    formatAddress({ host: address, port: bound.port }),
  );
}
