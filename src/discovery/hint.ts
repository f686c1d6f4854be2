// What discovery finds: an address where a connector may be. A hint is never proof; who answers there is proved by mTLS.
import { isIPv4, isIPv6 } from 'node:net';
import { Fault } from '../kernel/fault.js';

export interface Address {
  /** An IPv4 or IPv6 address (without brackets) or a name, in lower case. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

export interface ConnectorHint extends Address {
  /** Given by hand; worked before; named by the cloud; heard in the local network. */
  readonly source: 'configured' | 'remembered' | 'advertised' | 'ssdp';
  /** The machine id that whoever gave the hint claims to be there. */
  readonly machineId?: string;
}

/** What is written where an address belongs cannot be one. */
export class AddressFault extends Fault<'discovery.bad-address'> {
  constructor(text: string, problem: string) {
    super('discovery.bad-address', `${JSON.stringify(text.slice(0, 100))} is not an address: ${problem}`, {
      permanent: true,
      advice: 'Write it as host:port, for example 192.0.2.10:11000, [2001:db8::10]:11000 or connector.example:11000.',
    });
  }
}

// RFC 1123 section 2.1, plus the underscore that Windows networks use.
const NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** Reads `192.0.2.10:11000`, `[2001:db8::10]:11000` or `name:11000`. Throws AddressFault. */
export function parseAddress(text: string): Address {
  const trimmed = text.trim();
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(trimmed);
  if (bracketed) {
    const host = (bracketed[1] ?? '').toLowerCase();
    if (!isIPv6(host)) throw new AddressFault(text, 'what stands in brackets must be an IPv6 address');
    return { host, port: parsePort(text, bracketed[2]) };
  }
  if (isIPv6(trimmed)) throw new AddressFault(text, 'an IPv6 address needs brackets and a port');
  const [name = '', port, ...rest] = trimmed.split(':');
  if (rest.length > 0) throw new AddressFault(text, 'it has more than one colon');
  const host = name.toLowerCase();
  if (!isHost(host)) throw new AddressFault(text, 'the host must be an IPv4 address, an IPv6 address or a name');
  return { host, port: parsePort(text, port) };
}

/** The text that parseAddress reads. */
export function formatAddress(address: Address): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function isHost(host: string): boolean {
  if (isIPv4(host)) return true;
  // A name whose last label is a number would be taken for an IPv4 address somewhere (WHATWG URL section 3.5).
  return NAME.test(host) && !/(^|\.)\d+$/.test(host);
}

function parsePort(text: string, port: string | undefined): number {
  if (port === undefined || port === '') throw new AddressFault(text, 'the port is missing');
  const number = /^\d{1,5}$/.test(port) ? Number(port) : 0;
  if (number < 1 || number > 65_535) throw new AddressFault(text, 'the port must be a number from 1 to 65535');
  return number;
}
