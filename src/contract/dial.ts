// How a client connects: TLS 1.3 on a TCP connection that grpc-js has made, through the proxy's tunnel where there is
// one, with a time limit up to the first HTTP/2 SETTINGS. Own credentials instead of grpc-js' createSsl, because those
// hide why a handshake failed inside the text of an UNAVAILABLE, and because grpc-js waits for ever for SETTINGS
// (grpc/grpc-node#2785).
import { isIP, type Socket } from 'node:net';
import { type PeerCertificate, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { ChannelCredentials, credentials as callCredentials } from '@grpc/grpc-js';
import type { Clock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { type Duration, formatDuration } from '../kernel/duration.js';
import { systemCode } from '../kernel/system-error.js';
import { ContractFault } from './fault.js';
import { openTunnel, type ProxyAddress } from './proxy.js';

export interface ClientTls {
  /** PEM: who vouches for the server. Nobody else is trusted, whatever the operating system thinks. */
  readonly ca: string | Buffer | readonly (string | Buffer)[];
  /** PEM: our own certificate and its key, both or none. */
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  /**
   * Decides whether a certificate that the CA vouches for is that of the server we mean; an Error says why not.
   * Default: the name in the address must stand in the certificate.
   */
  readonly checkServerIdentity?: (hostname: string, certificate: PeerCertificate) => Error | undefined;
  /**
   * Instead of everything that TLS would judge itself (chain, time, name): is this certificate (DER), whose key the server
   * has proved to hold, that of the server we mean? For machines whose clock may be wrong. An Error says why not.
   */
  readonly judgeServer?: (certificate: Buffer) => Error | undefined;
}

export interface DialOptions {
  /** host:port of the server. */
  readonly address: string;
  readonly host: string;
  readonly proxy: ProxyAddress | undefined;
  readonly within: Duration;
}

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

export class Dialler {
  /** Why the last try failed; undefined after one that did not. */
  lastFault: ContractFault | undefined;
  readonly #sockets = new Set<Socket>();
  #stopped = false;

  constructor(
    private readonly options: DialOptions,
    public tls: ClientTls,
    private readonly clock: Clock,
    /** Whether HTTP/2 has begun on the newest connection. */
    private readonly ready: () => boolean,
  ) {}

  get credentials(): ChannelCredentials {
    return new DialCredentials((socket) => this.#dial(socket));
  }

  /** Closes every connection, also those being made. Resolves when they are closed. */
  async stop(): Promise<void> {
    this.#stopped = true;
    const closed = [...this.#sockets].map((socket) => new Promise<void>((resolve) => socket.once('close', resolve)));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  async #dial(socket: Socket): Promise<TLSSocket> {
    if (this.#stopped) {
      socket.destroy();
      throw new ContractFault('contract.cancelled', 'the channel is closed');
    }
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    const { address, within, proxy } = this.options;
    let late: ContractFault | undefined;
    const impatience = this.clock.after(within, () => {
      if (this.ready()) return;
      late = new ContractFault('contract.unavailable', `${address} took the connection, but said nothing useful`, {
        advice: `It had ${formatDuration(within)}. Check that a gRPC server listens there.`,
      });
      this.lastFault = late;
      socket.destroy();
    });
    socket.once('close', () => impatience.disarm());
    try {
      if (proxy) await openTunnel(socket, address, proxy);
      const secure = await this.#handshake(socket);
      this.lastFault = undefined;
      return secure;
    } catch (thrown) {
      this.lastFault = late ?? (thrown instanceof ContractFault ? thrown : explain(thrown, address));
      throw this.lastFault;
    }
  }

  #handshake(socket: Socket): Promise<TLSSocket> {
    const { ca, cert, key, checkServerIdentity, judgeServer } = this.tls;
    const { host, address } = this.options;
    return new Promise((resolve, reject) => {
      const secure = tlsConnect({
        socket,
        host,
        // An address is not a server name (RFC 6066 section 3).
        ...(isIP(host) === 0 ? { servername: host } : {}),
        ca: typeof ca === 'string' || Buffer.isBuffer(ca) ? ca : [...ca],
        ...(cert && key ? { cert, key } : {}),
        ...defined({ checkServerIdentity }),
        ...(judgeServer ? { rejectUnauthorized: false } : {}),
        minVersion: 'TLSv1.3',
        ALPNProtocols: ['h2'],
      });
      secure.once('close', () => {
        // A TLS socket around a socket does not always take it along.
        socket.destroy();
        reject(new Error('the connection was closed during the TLS handshake'));
      });
      secure.on('error', reject);
      secure.once('secureConnect', () => {
        const fault = judgeServer?.(secure.getPeerCertificate().raw ?? Buffer.alloc(0));
        if (!fault && secure.alpnProtocol === 'h2') return resolve(secure);
        secure.destroy();
        if (fault) {
          return reject(new ContractFault('contract.untrusted-peer', `${address}: ${fault.message}`, { cause: fault }));
        }
        reject(new ContractFault('contract.unavailable', `${address} does not speak gRPC`, { permanent: true }));
      });
    });
  }
}

class DialCredentials extends ChannelCredentials {
  constructor(private readonly dial: (socket: Socket) => Promise<TLSSocket>) {
    super();
  }

  _isSecure(): boolean {
    return true;
  }

  _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  _createSecureConnector(...[, , perCall]: Parameters<ChannelCredentials['_createSecureConnector']>): Connector {
    return {
      connect: async (socket) => ({ socket: await this.dial(socket), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => perCall ?? callCredentials.createEmpty(),
      destroy: () => {},
    };
  }
}

const EXPIRED = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID'];
const UNTRUSTED = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_PURPOSE',
  'INVALID_CA',
];

/** What OpenSSL and Node call it → what it means. */
function explain(thrown: unknown, address: string): ContractFault {
  const code = systemCode(thrown) ?? '';
  if (EXPIRED.includes(code)) {
    return new ContractFault('contract.untrusted-peer', `the certificate of ${address} is not valid now`, {
      cause: thrown,
      advice: 'Compare the clocks of both machines; otherwise the certificate has to be renewed there.',
    });
  }
  if (UNTRUSTED.includes(code)) {
    return new ContractFault('contract.untrusted-peer', `${address} is not a member of this mesh`, {
      cause: thrown,
      advice: 'Its certificate is not from the CA of this mesh. A firewall that looks into TLS has to let this pass.',
    });
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return new ContractFault('contract.untrusted-peer', `the server at ${address} is another one than was meant`, {
      cause: thrown,
      advice: 'Use the name or address that stands in its certificate.',
    });
  }
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') {
    return new ContractFault('contract.unavailable', `no TLS with ${address}`, {
      cause: thrown,
      advice: 'Check that the port is right: something else than this mesh may listen there.',
    });
  }
  if (code === '' && thrown instanceof Error && !/closed during/.test(thrown.message)) {
    // From checkServerIdentity, which gives its own reasons.
    return new ContractFault('contract.untrusted-peer', `${address}: ${thrown.message}`, { cause: thrown });
  }
  return new ContractFault('contract.unavailable', `the connection to ${address} broke`, { cause: thrown });
}
