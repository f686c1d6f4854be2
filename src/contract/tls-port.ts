// A TCP port with TLS 1.3 in front: connection limits, handshake limits, live certificates, and the choice by ALPN
// between HTTP/2 and HTTP/1.1. What is spoken inside is the business of whoever is handed the sockets.
// TCP is accepted by a plain server and handed on to the TLS server, so that a connection over the limit costs no
// handshake, and so that every socket is known here and can be closed.
import { constants } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import type { Logger } from '../kernel/log.js';
import type { Stoppable } from '../kernel/scope.js';
import { ContractFault } from './fault.js';
import type { ListenerLimits } from './limits.js';
import type { Oddities } from './oddities.js';

export interface CertificateOptions {
  /** PEM. */
  readonly key: string | Buffer;
  /** PEM: the server's certificate, and whatever leads from it to the CA. */
  readonly cert: string | Buffer;
  /** PEM: who vouches for clients. */
  readonly ca: string | Buffer | readonly (string | Buffer)[];
}

export interface TlsPortOptions extends CertificateOptions {
  /** The address to listen on; `::` for all, IPv4 too. */
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly limits: Pick<ListenerLimits, 'connections' | 'connectionsPerAddress' | 'handshake'>;
  /** What chooses the port, for advice; default `--listen`. */
  readonly flag?: string;
}

export interface TlsPortHandlers {
  h2(socket: TLSSocket): void;
  http1(socket: TLSSocket): void;
}

/** How many connections so far, by what became of them. */
export interface PortCounters {
  accepted: number;
  /** Over the limit, in all or for one address. */
  refused: number;
  /** What is not TLS 1.3, or was not in time. */
  failedHandshakes: number;
  http1: number;
}

export class TlsPort implements Stoppable {
  readonly counters: PortCounters = { accepted: 0, refused: 0, failedHandshakes: 0, http1: 0 };
  readonly #tcp: Server;
  readonly #oddities: Oddities;
  readonly #tls: TlsServer;
  readonly #sockets = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();
  #stopped: Promise<void> | undefined;

  /** Faults: contract.bad-certificate. */
  constructor(
    private readonly options: TlsPortOptions,
    handlers: TlsPortHandlers,
    private readonly log: Logger,
    oddities: Oddities,
  ) {
    this.#oddities = oddities;
    this.#tls = usable(() =>
      createTlsServer({
        ...secureContext(options),
        // HTTP/1.1 where it is offered, because only browsers and other curious visitors do; gRPC offers h2 alone.
        ALPNCallback: ({ protocols }) => ['http/1.1', 'h2'].find((protocol) => protocols.includes(protocol)),
        requestCert: true,
        rejectUnauthorized: false,
        handshakeTimeout: options.limits.handshake,
        // No resumption: a resumed session would bring back yesterday's verdict on the client's certificate.
        secureOptions: constants.SSL_OP_NO_TICKET,
      }),
    );
    this.#tls.on('secureConnection', (socket) => {
      socket.on('error', (error) => this.log.debug({ err: error }, 'a connection broke'));
      if (socket.alpnProtocol === 'h2') return handlers.h2(socket);
      this.counters.http1 += 1;
      handlers.http1(socket);
    });
    this.#tls.on('tlsClientError', (error, socket) => {
      this.counters.failedHandshakes += 1;
      oddities.note({ peer: peerOf(socket), cause: reasonOf(error) }, 'no TLS handshake');
      socket.destroy();
    });
    this.#tcp = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 });
    this.#tcp.on('connection', (socket) => this.#admit(socket));
  }

  /** Once started, `{address, port}`. */
  get address(): { readonly address: string; readonly port: number } {
    const address = this.#tcp.address();
    if (address === null || typeof address === 'string') throw new Error('the port is not open');
    return address;
  }

  get open(): number {
    return this.#sockets.size;
  }

  /** Faults: contract.port-in-use, contract.port-forbidden, contract.cannot-listen. */
  start(): Promise<void> {
    const { host, port, flag = '--listen' } = this.options;
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) => reject(cannotListen(host, port, flag, error));
      this.#tcp.once('error', onError);
      this.#tcp.listen({ host, port, backlog: 1_024 }, () => {
        this.#tcp.off('error', onError);
        this.#tcp.on('error', (error) => this.log.warn({ err: error }, 'a connection could not be accepted'));
        resolve();
      });
    });
  }

  /** New connections see it; those that are open keep what they began with. Faults: contract.bad-certificate. */
  setCertificate(certificate: CertificateOptions): void {
    usable(() => this.#tls.setSecureContext(secureContext(certificate)));
  }

  /** No new connections; those that are open stay until stop(). */
  close(): void {
    if (this.#tcp.listening) this.#tcp.close();
  }

  /** Ends everything and waits until the last socket is closed. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.close();
    const closed = [...this.#sockets].map((socket) => new Promise<void>((resolve) => socket.once('close', resolve)));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #admit(socket: Socket): void {
    const address = socket.remoteAddress;
    const { connections, connectionsPerAddress } = this.options.limits;
    // No address: it has gone again already.
    if (address === undefined || this.#stopped) return void socket.destroy();
    const fromThere = this.#perAddress.get(address) ?? 0;
    if (this.#sockets.size >= connections || fromThere >= connectionsPerAddress) {
      this.counters.refused += 1;
      this.#oddities.note({ address, fromThere, open: this.#sockets.size }, 'too many connections');
      socket.destroy();
      return;
    }
    this.counters.accepted += 1;
    this.#sockets.add(socket);
    this.#perAddress.set(address, fromThere + 1);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
    this.#tls.emit('connection', socket);
  }
}

export const peerOf = ({ remoteAddress, remotePort }: Socket): string =>
  `${remoteAddress ?? 'gone'}:${remotePort ?? 0}`;

/** OpenSSL's own words, without the numbers and file names around them. */
const reasonOf = (error: Error & { reason?: unknown }): string =>
  typeof error.reason === 'string' ? error.reason : error.message;

/** SSL_OP_CLEANSE_PLAINTEXT of OpenSSL 3: what has been read does not stay in its buffers. Node has no name for it. */
const CLEANSE_PLAINTEXT = 2;

function secureContext({ key, cert, ca }: CertificateOptions) {
  return {
    key,
    cert,
    ca: typeof ca === 'string' || Buffer.isBuffer(ca) ? ca : [...ca],
    minVersion: 'TLSv1.3' as const,
    secureOptions: CLEANSE_PLAINTEXT,
  };
}

function usable<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new ContractFault('contract.bad-certificate', 'key, certificate and CA cannot be used', {
      cause,
      permanent: true,
      advice: 'Check that they are PEM and belong together.',
    });
  }
}

function cannotListen(host: string, port: number, flag: string, cause: NodeJS.ErrnoException): ContractFault {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  if (cause.code === 'EADDRINUSE') {
    return new ContractFault('contract.port-in-use', `another program listens on ${where}`, {
      cause,
      advice: `Stop it, or choose another port with ${flag}.`,
    });
  }
  if (cause.code === 'EACCES' || cause.code === 'EPERM') {
    return new ContractFault('contract.port-forbidden', `this user may not listen on ${where}`, {
      cause,
      permanent: true,
      advice:
        `Choose another port with ${flag}, or allow it: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, ` +
        'or setcap cap_net_bind_service=+ep on the node program.',
    });
  }
  return new ContractFault('contract.cannot-listen', `cannot listen on ${where}`, {
    cause,
    advice: 'Check that the address belongs to this machine.',
  });
}
