// The connector's side of discovery: one responder per interface, kept in step with the interfaces that the machine has.
import { type Clock, every, type Timer } from '../kernel/clock.js';
import { type Duration, seconds } from '../kernel/duration.js';
import { describe, toError } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import type { Stoppable } from '../kernel/scope.js';
import { Serial } from '../kernel/serial.js';
import { ANSWER_LIMITS, AnswerLimit } from './answer-limit.js';
import { type InterfaceSource, type LocalInterface, selectInterfaces, systemInterfaces } from './interfaces.js';
import { isMachineId, SSDP_PORT } from './ssdp-protocol.js';
import { SsdpResponder } from './ssdp-responder.js';

/** How often the interfaces are read again. */
export const INTERFACE_CHECK = seconds(30);

export interface AnnouncerOptions {
  readonly machineId: string;
  /** The connector's LAN port (TCP). */
  readonly port: number;
  /** Interface names or addresses; default: every IPv4 interface that is not internal. Loopback only if named. */
  readonly interfaces?: readonly string[];
  /** UDP port; default 1900. */
  readonly ssdpPort?: number;
  /** How often the connector says that it is there; at most 15 min is used. */
  readonly notifyEvery: Duration;
}

export interface AnnouncerModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly interfaces?: InterfaceSource;
}

export class SsdpAnnouncer implements Stoppable {
  readonly #responders = new Map<string, SsdpResponder>();
  /** What could not be started, so that it is told once and not every 30 s. */
  readonly #failed = new Set<string>();
  readonly #serial = new Serial();
  readonly #limit: AnswerLimit;
  #checking: Timer | undefined;
  #stopping: Promise<void> | undefined;

  /** Throws a TypeError when the machine id cannot stand in a USN (letters, digits, hyphens; at most 64). */
  constructor(
    private readonly options: AnnouncerOptions,
    private readonly modules: AnnouncerModules,
  ) {
    if (!isMachineId(options.machineId)) throw new TypeError('the machine id cannot stand in a USN');
    this.#limit = new AnswerLimit(ANSWER_LIMITS, modules);
  }

  /** The addresses on which the connector can be found at present. */
  get addresses(): string[] {
    return [...this.#responders.values()].map((responder) => responder.iface.address);
  }

  /**
   * Resolves after the first attempt on every interface. Never rejects: a connector must run without multicast too.
   * What does not work is logged, and tried again whenever the interfaces are read.
   */
  async start(): Promise<void> {
    if (this.#stopping || this.#checking) return;
    this.#checking = every(this.modules.clock, INTERFACE_CHECK, () => void this.refresh());
    await this.refresh();
  }

  /** Reads the interfaces now. */
  refresh(): Promise<void> {
    return this.#serial.run(() => this.#reconcile());
  }

  /** Says goodbye on every interface and closes. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    this.#checking?.disarm();
    await this.#serial.idle();
    await Promise.all([...this.#responders.values()].map((responder) => responder.stop()));
    this.#responders.clear();
  }

  async #reconcile(): Promise<void> {
    if (this.#stopping) return;
    const present = this.#interfaces();
    for (const [key, responder] of this.#responders) {
      if (present.has(key) && this.#works(responder)) continue;
      this.#responders.delete(key);
      await responder.stop();
      this.modules.log.info({ interface: responder.iface.name, address: responder.iface.address }, 'SSDP: left');
    }
    for (const [key, iface] of present) {
      if (!this.#responders.has(key) && !this.#stopping) await this.#begin(key, iface);
    }
  }

  /** By name, address and subnet: a change of any of them makes another responder. */
  #interfaces(): Map<string, LocalInterface> {
    const source = this.modules.interfaces ?? systemInterfaces;
    try {
      return new Map(selectInterfaces(source, this.options.interfaces).map((iface) => [iface.key, iface]));
    } catch (thrown) {
      // The system call can fail for a moment (no memory, no permission); that says nothing about the interfaces.
      this.modules.log.warn({ problem: describe(thrown) }, 'SSDP: the interfaces cannot be read');
      return new Map([...this.#responders].map(([key, responder]) => [key, responder.iface]));
    }
  }

  #works(responder: SsdpResponder): boolean {
    try {
      responder.check();
      return true;
    } catch (thrown) {
      this.modules.log.debug({ interface: responder.iface.name, problem: describe(thrown) }, 'SSDP: multicast lost');
      return false;
    }
  }

  async #begin(key: string, iface: LocalInterface): Promise<void> {
    const { machineId, port, notifyEvery, ssdpPort = SSDP_PORT } = this.options;
    const responder = new SsdpResponder(
      { iface, machineId, port, ssdpPort, notifyEvery },
      { ...this.modules, limit: this.#limit },
    );
    const where = { interface: iface.name, address: iface.address, ssdpPort };
    try {
      await responder.start();
      this.#responders.set(key, responder);
      this.#failed.delete(key);
      this.modules.log.info(where, 'SSDP: hubs of this subnet can find this connector');
    } catch (thrown) {
      const level = this.#failed.has(key) ? 'debug' : 'warn';
      this.#failed.add(key);
      this.modules.log[level]({ ...where, err: toError(thrown) }, 'SSDP: hubs of this subnet need the address by hand');
    }
  }
}
