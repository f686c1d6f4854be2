// The proxy for connections to the cloud: what was configured, otherwise what the environment says.
import { BlockList, isIP } from 'node:net';
import { parseAddress } from '../discovery/hint.js';
import type { Terminal } from './terminal.js';

/**
 * The proxy for `cloud` (host:port); undefined for none. What is configured always counts. The environment's
 * https_proxy or HTTPS_PROXY counts unless NO_PROXY names the host, and never for this machine itself.
 */
export function proxyFor(cloud: string, configured: string | undefined, terminal: Terminal): string | undefined {
  if (configured !== undefined) return configured;
  const { env } = terminal;
  const proxy = env.https_proxy || env.HTTPS_PROXY;
  if (!proxy) return undefined;
  const { host, port } = parseAddress(cloud);
  const exempt = isLoopback(host) || isExempt(host, port, env.no_proxy || env.NO_PROXY || '');
  return exempt ? undefined : proxy;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback(host: string): boolean {
  const family = isIP(host);
  if (family === 0) return host === 'localhost' || host.endsWith('.localhost');
  return loopback.check(host, family === 4 ? 'ipv4' : 'ipv6');
}

/** NO_PROXY as curl and Go read it: names with everything below them, addresses, networks, `host:port`, `*`. */
function isExempt(host: string, port: number, list: string): boolean {
  return list
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .some((entry) => entry === '*' || matches(entry.toLowerCase(), host, port));
}

function matches(entry: string, host: string, port: number): boolean {
  const [, name = entry, wantedPort] = /^(\[[^\]]+\]|[^:]+):(\d+)$/.exec(entry) ?? [];
  if (wantedPort !== undefined && Number(wantedPort) !== port) return false;
  const bare = name.replace(/^\[|\]$/g, '').replace(/^\*?\./, '');
  const family = isIP(host);
  if (family === 0) return host === bare || host.endsWith(`.${bare}`);
  const [network = '', prefix] = bare.split('/');
  if (prefix === undefined) return bare === host;
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN;
  if (isIP(network) !== family || !(bits <= (family === 4 ? 32 : 128))) return false;
  const subnet = new BlockList();
  subnet.addSubnet(network, bits, family === 4 ? 'ipv4' : 'ipv6');
  return subnet.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
