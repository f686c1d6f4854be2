// One look at a TLS port, the way a connection of the mesh would go: TCP, a proxy's tunnel, TLS. Nothing is believed here,
// and nothing but a request for the page that people get is sent.
import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { openTunnel, parseProxy } from '../../contract/proxy.js';
import { parseAddress } from '../../discovery/hint.js';
import type { Clock } from '../../kernel/clock.js';
import type { EpochMs } from '../../kernel/duration.js';
import { toError } from '../../kernel/fault.js';

export interface Sighting {
  /** DER. */
  readonly certificate: Buffer;
  /** Who has issued it, for people. */
  readonly issuer: string;
  /** What the other side has for the time, and when it was heard here; a whole second. */
  readonly date: { readonly theirs: number; readonly ours: EpochMs } | undefined;
}

const MAX_HEAD = 16 * 1_024;

/** Rejects with whatever stood in the way. Ends with the signal. */
export async function look(
  address: string,
  proxy: string | undefined,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<Sighting> {
  signal.throwIfAborted();
  const tunnel = proxy === undefined ? undefined : parseProxy(proxy);
  const first = parseAddress(tunnel?.address ?? address);
  const socket = connect(first.port, first.host);
  const stop = () => socket.destroy(toError(signal.reason));
  signal.addEventListener('abort', stop, { once: true });
  let secure: TLSSocket | undefined;
  try {
    await once(socket, 'connect');
    if (tunnel) await openTunnel(socket, address, tunnel);
    secure = await handshake(socket, parseAddress(address).host);
    const { raw, issuer } = secure.getPeerCertificate();
    return {
      certificate: raw ?? Buffer.alloc(0),
      issuer: nameOf(issuer ?? {}),
      date: await dateFrom(secure, address, clock),
    };
  } finally {
    signal.removeEventListener('abort', stop);
    secure?.destroy();
    socket.on('error', () => undefined).destroy();
  }
}

async function handshake(socket: Socket, host: string): Promise<TLSSocket> {
  const secure = tlsConnect({
    socket,
    // An address is not a server name (RFC 6066 section 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    // It is judged by whoever asked, against the mesh's own CA.
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
  });
  const ended = once(secure, 'close').then(() => {
    throw new Error('the connection was closed during the TLS handshake');
  });
  ended.catch(() => undefined);
  await Promise.race([once(secure, 'secureConnect'), ended]);
  secure.on('error', () => undefined);
  return secure;
}

/** RFC 9110 section 6.6.1. */
async function dateFrom(secure: TLSSocket, host: string, clock: Clock): Promise<Sighting['date']> {
  secure.write(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  let head = '';
  for await (const piece of secure.setEncoding('latin1') as AsyncIterable<string>) {
    head += piece;
    if (head.includes('\r\n\r\n') || head.length > MAX_HEAD) break;
  }
  const ours = clock.now();
  const theirs = Date.parse(/^date: *([^\r\n]{1,64})\r$/im.exec(head)?.[1] ?? '');
  return Number.isNaN(theirs) ? undefined : { theirs, ours };
}

function nameOf({ CN, O }: { readonly CN?: string | string[]; readonly O?: string | string[] }): string {
  const [common, organisation] = [CN, O].map((part) => (Array.isArray(part) ? part[0] : part));
  if (common && organisation && common !== organisation) return `${common} (${organisation})`;
  return common || organisation || 'nobody by name';
}
