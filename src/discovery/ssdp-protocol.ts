// What occ-mesh says over SSDP (UPnP Device Architecture 1.1, section 1), and how little of what it hears it believes.
import { isIPv4 } from 'node:net';
import type { ConnectorHint } from './hint.js';
import type { LocalInterface } from './interfaces.js';

export const SSDP_GROUP = '239.255.255.250';
export const SSDP_PORT = 1900;
export const CONNECTOR_TYPE = 'urn:occ-mesh:service:connector:1';

/** Discovery is for one subnet: a router must not pass these datagrams on. */
export const SSDP_TTL = 1;

/** Larger datagrams are dropped unread; a real one has about 300 bytes. */
export const MAX_DATAGRAM_BYTES = 2_048;

/** Product tokens for the SERVER header; no versions of anything that somebody could look up weaknesses for. */
export const SSDP_SERVER = 'occ/1 UPnP/1.0 occ-mesh/1';

/** The headers of a datagram; names in upper case, values as they came from a stranger. */
export type SsdpHeaders = Readonly<Record<string, string | undefined>>;

const MACHINE_ID = /^[0-9A-Za-z-]{1,64}$/;

/** True for what may stand in a USN. */
export const isMachineId = (text: string): boolean => MACHINE_ID.test(text);

export const deviceName = (machineId: string): string => `uuid:${machineId}`;

export const locationOf = (address: string, port: number): string => `https://${address}:${port}/`;

/**
 * The address in a LOCATION: `https://`, a literal IPv4 address and a port, nothing else. It is never fetched. Not
 * `new URL`, because that reads `https://2130706433/` as an address too.
 */
export function parseLocation(location: string): { host: string; port: number } | undefined {
  const match = /^https:\/\/(\d{1,3}(?:\.\d{1,3}){3}):(\d{1,5})\/?$/.exec(location);
  const host = match?.[1] ?? '';
  const port = Number(match?.[2] ?? 0);
  return isIPv4(host) && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

/** The machine id in a connector's USN. */
export function parseUsn(usn: string): string | undefined {
  const [device = '', type, ...rest] = usn.split('::');
  if (type !== CONNECTOR_TYPE || rest.length > 0 || !device.startsWith('uuid:')) return undefined;
  const machineId = device.slice('uuid:'.length);
  return isMachineId(machineId) ? machineId : undefined;
}

/** The hint in an answer to our search that came in on `iface`; undefined unless every part of it is believable. */
export function hintFrom(headers: SsdpHeaders, status: number, iface: LocalInterface): ConnectorHint | undefined {
  if (status !== 200 || headers.ST !== CONNECTOR_TYPE) return undefined;
  const address = parseLocation(headers.LOCATION ?? '');
  const machineId = parseUsn(headers.USN ?? '');
  if (!address || machineId === undefined || !iface.contains(address.host)) return undefined;
  return { ...address, source: 'ssdp', machineId };
}
