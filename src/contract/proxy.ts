// The way out through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6) on a socket that is already connected to it.
// grpc-js has this too, but reads it from the environment only, would use it for the LAN as well, and tells nobody
// why a proxy refused.
import type { Socket } from 'node:net';
import { ContractFault } from './fault.js';

/** No sane proxy answers CONNECT with more. */
const MAX_HEAD = 16 * 1_024;

export interface ProxyAddress {
  /** host:port, for the TCP connection. */
  readonly address: string;
  /** For `Proxy-Authorization: Basic`; absent when the proxy asks nobody. */
  readonly credentials: string | undefined;
}

/** Reads `http://user:password@proxy.example:3128`. Faults: contract.bad-setting (which never repeats the password). */
export function parseProxy(url: string): ProxyAddress {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw badProxy('it is not a URL');
  }
  if (parsed.protocol !== 'http:') throw badProxy(`${parsed.protocol} is not supported`);
  const user = decodeURIComponent(parsed.username);
  const credentials = user === '' ? undefined : `${user}:${decodeURIComponent(parsed.password)}`;
  return { address: `${parsed.hostname}:${parsed.port === '' ? '80' : parsed.port}`, credentials };
}

function badProxy(problem: string): ContractFault {
  return new ContractFault('contract.bad-setting', `the proxy cannot be used: ${problem}`, {
    permanent: true,
    advice: 'Write it as http://proxy.example:3128, or http://user:password@proxy.example:3128.',
  });
}

/** Asks the proxy for a tunnel. Afterwards the socket leads to `target` (host:port). Faults: contract.proxy-refused. */
export function openTunnel(socket: Socket, target: string, proxy: ProxyAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const settle = (fault?: ContractFault) => {
      socket.off('data', onData);
      socket.off('error', onError);
      socket.off('close', onClose);
      if (fault) reject(fault);
      else resolve();
    };
    const onData = (data: Buffer) => {
      head = Buffer.concat([head, data]);
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) {
        if (head.length > MAX_HEAD) settle(refused(proxy, 'its answer is not HTTP'));
        return;
      }
      socket.pause();
      const fault = verdict(head.subarray(0, end).toString('latin1'), target, proxy);
      const rest = head.subarray(end + 4);
      if (!fault && rest.length > 0) socket.unshift(rest);
      settle(fault);
    };
    const onError = (cause: Error) => settle(refused(proxy, 'the connection broke', cause));
    const onClose = () => settle(refused(proxy, 'it closed the connection'));
    socket.on('data', onData);
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.write(request(target, proxy.credentials));
  });
}

function request(target: string, credentials: string | undefined): string {
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`];
  if (credentials !== undefined) {
    lines.push(`Proxy-Authorization: Basic ${Buffer.from(credentials).toString('base64')}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n`;
}

function verdict(head: string, target: string, proxy: ProxyAddress): ContractFault | undefined {
  const match = /^HTTP\/1\.[01] (\d{3}) ?([^\r\n]{0,100})/.exec(head);
  if (!match) return refused(proxy, 'its answer is not HTTP');
  const code = Number(match[1]);
  if (code >= 200 && code < 300) return undefined;
  if (code === 407) {
    return new ContractFault('contract.proxy-refused', `the proxy ${proxy.address} wants other credentials (407)`, {
      permanent: true,
      advice: 'Put user and password into the proxy setting; only Basic authentication is supported.',
    });
  }
  return refused(proxy, `it answered ${code} ${match[2]} for ${target}`);
}

function refused(proxy: ProxyAddress, what: string, cause?: unknown): ContractFault {
  return new ContractFault('contract.proxy-refused', `no way through the proxy ${proxy.address}: ${what}`, {
    cause,
    advice: 'Check the proxy setting, and that the proxy allows CONNECT to this address.',
  });
}
