// Asks for connectors on one interface and hears the answers. A subclass of node-ssdp's client with one socket of ours.
import type { RemoteInfo, Socket } from 'node:dgram';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Stoppable } from '../kernel/scope.js';
import type { LocalInterface } from './interfaces.js';
import { LibraryClient, type LibraryMessage, type Sent } from './ssdp-library.js';
import { CONNECTOR_TYPE, locationOf, SSDP_GROUP, SSDP_SERVER, type SsdpHeaders } from './ssdp-protocol.js';
import { closeSocket, openSearcher } from './ssdp-socket.js';

/** Seconds within which answers are wanted; the least that UPnP allows, as there are few connectors in a subnet. */
const MX = 1;

export type OnAnswer = (headers: SsdpHeaders, status: number, from: RemoteInfo, iface: LocalInterface) => void;

export interface ProberOptions {
  readonly iface: LocalInterface;
  readonly ssdpPort: number;
  readonly onAnswer: OnAnswer;
}

export class SsdpProber extends LibraryClient implements Stoppable {
  readonly #options: ProberOptions;
  readonly #log: Logger;
  #socket: Socket | undefined;

  constructor(options: ProberOptions, modules: { readonly log: Logger }) {
    super({
      ssdpIp: SSDP_GROUP,
      ssdpPort: options.ssdpPort,
      ssdpSig: SSDP_SERVER,
      location: locationOf(options.iface.address, 0), // never sent by a client
      allowWildcards: false,
      customLogger: (message, ...values) => modules.log.trace({ ssdp: values }, message),
    });
    this.#options = options;
    this.#log = modules.log;
    this.on('response', (headers: SsdpHeaders, status: number, from: RemoteInfo) =>
      options.onAnswer(headers, status, from, options.iface),
    );
  }

  /** Rejects with SsdpFault. */
  async start(): Promise<void> {
    const { iface } = this.#options;
    this.#socket = await openSearcher(iface, (datagram, from) => this._parseMessage(datagram, from), this.#log);
    this.sockets = { [iface.address]: this.#socket };
    this._started = true;
  }

  /** Sends one search for connectors; failures are logged. */
  ask(): void {
    if (this.sockets) this.search(CONNECTOR_TYPE);
  }

  async stop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.sockets = null;
    if (socket) await closeSocket(socket);
  }

  /** The library's search asks for answers within 3 s. */
  override _send(message: LibraryMessage, ...to: [Sent] | [string, number, Sent]): void {
    message.setHeader('MX', MX);
    const [host, port, done] = to.length === 1 ? [SSDP_GROUP, this.#options.ssdpPort, to[0]] : to;
    super._send(message, host, port, (error) => {
      if (error) this.#log.debug({ interface: this.#options.iface.name, problem: describe(error) }, 'SSDP not sent');
      done(error);
    });
  }
}
