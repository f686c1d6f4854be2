// One device on one interface: answers searches, says alive, says goodbye. A subclass of node-ssdp's server with one
// socket of ours, so that LOCATION, subnet and answering socket always belong together.
import type { RemoteInfo, Socket } from 'node:dgram';
import type { Clock, Timer } from '../kernel/clock.js';
import { type Duration, milliseconds, minutes, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import type { Stoppable } from '../kernel/scope.js';
import type { AnswerLimit } from './answer-limit.js';
import type { LocalInterface } from './interfaces.js';
import { type LibraryMessage, LibraryServer, type Sent } from './ssdp-library.js';
import { CONNECTOR_TYPE, deviceName, locationOf, SSDP_GROUP, SSDP_SERVER, type SsdpHeaders } from './ssdp-protocol.js';
import { closeSocket, openListener, rejoin } from './ssdp-socket.js';

/** For how long others may believe an announcement; the least that UPnP allows. The library says the same in NOTIFY. */
const MAX_AGE = seconds(1_800);
/** UPnP: announce again before half of that has passed. */
const SLOWEST_NOTIFY = minutes(15);
/** Answers are spread over at most this, even if the asker's MX allows more: first contact should be quick. */
const ANSWER_SPREAD = milliseconds(500);
const ROOT_DEVICE = 'upnp:rootdevice';
const EVERYTHING = 'ssdp:all';

export interface ResponderOptions {
  readonly iface: LocalInterface;
  readonly machineId: string;
  /** The connector's LAN port, for LOCATION. */
  readonly port: number;
  readonly ssdpPort: number;
  readonly notifyEvery: Duration;
}

export interface ResponderModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Shared by all interfaces of the machine. */
  readonly limit: AnswerLimit;
}

export class SsdpResponder extends LibraryServer implements Stoppable {
  readonly iface: LocalInterface;
  readonly #options: ResponderOptions;
  readonly #modules: ResponderModules;
  readonly #timers = new Set<Timer>();
  readonly #sending = new Set<Promise<void>>();
  #socket: Socket | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: ResponderOptions, modules: ResponderModules) {
    super({
      ssdpIp: SSDP_GROUP,
      ssdpPort: options.ssdpPort,
      ssdpSig: SSDP_SERVER,
      location: locationOf(options.iface.address, options.port),
      udn: deviceName(options.machineId),
      ttl: MAX_AGE / 1_000,
      allowWildcards: false,
      customLogger: (message, ...values) => modules.log.trace({ ssdp: values }, message),
    });
    this.iface = options.iface;
    this.#options = options;
    this.#modules = modules;
    // The three names under which UPnP lists a device: itself, as a root device, and what it offers.
    this._usns[this._udn] = this._udn;
    this.addUSN(ROOT_DEVICE);
    this.addUSN(CONNECTOR_TYPE);
  }

  /** Listens and begins to announce. Rejects with SsdpFault; the responder is then of no further use. */
  async start(): Promise<void> {
    const { iface, ssdpPort } = this.#options;
    const hear = (datagram: Buffer, from: RemoteInfo) => this._parseMessage(datagram, from);
    this.#socket = await openListener(iface, ssdpPort, hear, this.#modules.log);
    this.sockets = { [iface.address]: this.#socket };
    this._started = true;
    // UPnP 1.2.1: a short random wait, so that machines after a power cut do not all speak at once; then once more,
    // because datagrams get lost.
    const first = milliseconds(this.#modules.random.uniform() * 100);
    this.#later(first, () => this.advertise(true));
    this.#later(milliseconds(first + 1_000), () => this.advertise(true));
    this.#announceRegularly();
  }

  /** Makes sure that the group is still joined. Throws when the interface is gone. */
  check(): void {
    if (this.#socket) rejoin(this.#socket, this.iface);
  }

  /** Says goodbye, waits until that has been sent, closes. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (const timer of this.#timers) timer.disarm();
    this.#timers.clear();
    if (!this.#socket) return;
    this.advertise(false);
    await Promise.all(this.#sending);
    this.sockets = null;
    await closeSocket(this.#socket);
  }

  /** Only what is a proper search, after the wait that UPnP 1.3.3 asks for, and never more than the limit. */
  override _msearch(headers: SsdpHeaders, _text: string, from: RemoteInfo): void {
    const target = headers.ST ?? '';
    const answers = target === EVERYTHING ? Object.keys(this._usns).length : Object.hasOwn(this._usns, target) ? 1 : 0;
    const mx = Number(headers.MX);
    if (answers === 0 || headers.MAN !== '"ssdp:discover"' || !(mx >= 0) || this.#stopping) return;
    if (!this.#modules.limit.take(from.address, answers)) return;
    const spread = Math.min(mx * 1_000, ANSWER_SPREAD);
    this.#later(milliseconds(this.#modules.random.uniform() * spread), () => this._respondToSearch(target, from));
  }

  /** Keeps account of what is under way, so that goodbye is out before the socket closes. */
  override _send(message: LibraryMessage, ...to: [Sent] | [string, number, Sent]): void {
    const [host, port, done] = to.length === 1 ? [SSDP_GROUP, this.#options.ssdpPort, to[0]] : to;
    const sending = new Promise<void>((resolve, reject) => {
      super._send(message, host, port, (error) => (error ? reject(error) : resolve()));
    })
      .then(
        () => done(),
        (error: Error) => {
          this.#modules.log.debug({ interface: this.iface.name, problem: describe(error) }, 'SSDP not sent');
          done(error);
        },
      )
      .finally(() => this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  #announceRegularly(): void {
    const period = Math.min(this.#options.notifyEvery, SLOWEST_NOTIFY);
    // Up to a quarter earlier, so that many devices drift apart.
    this.#later(milliseconds(period * (1 - this.#modules.random.uniform() / 4)), () => {
      this.advertise(true);
      this.#announceRegularly();
    });
  }

  #later(delay: Duration, action: () => void): void {
    const timer = this.#modules.clock.after(delay, () => {
      this.#timers.delete(timer);
      action();
    });
    this.#timers.add(timer);
  }
}
