// The hub's side of discovery: searches the local network for connectors, and believes as little as possible.
import { type Clock, sleep } from '../kernel/clock.js';
import { type Duration, milliseconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Random } from '../kernel/random.js';
import { Scope } from '../kernel/scope.js';
import { type ConnectorHint, formatAddress } from './hint.js';
import { type InterfaceSource, type LocalInterface, selectInterfaces, systemInterfaces } from './interfaces.js';
import { SsdpProber } from './ssdp-prober.js';
import { hintFrom, SSDP_PORT, type SsdpHeaders } from './ssdp-protocol.js';

/** Each hint costs its reader a TLS handshake, so a flood of made-up answers must not become a flood of those. */
export const MAX_HINTS = 16;
/** One machine may be several connectors (tests, migrations), but must not take all the places. */
export const MAX_HINTS_PER_SOURCE = 4;
/** Datagrams get lost, so the question is asked at these parts of the time given, give or take the jitter. */
const ASK_AT = [0, 0.25, 0.5];
const ASK_JITTER = 0.05;

export interface SearcherOptions {
  /** Interface names or addresses; default: every IPv4 interface that is not internal. Loopback only if named. */
  readonly interfaces?: readonly string[];
  /** UDP port; default 1900. */
  readonly ssdpPort?: number;
}

export interface SearcherModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly interfaces?: InterfaceSource;
}

export class SsdpSearcher {
  constructor(
    private readonly options: SearcherOptions,
    private readonly modules: SearcherModules,
  ) {}

  /**
   * Asks all interfaces and collects answers for `timeout` (3 s is plenty), then resolves with at most 16 different
   * hints, in the order in which they were heard; at once with none if there is no interface to ask. Rejects only with
   * the signal's reason.
   */
  async search(timeout: Duration, signal: AbortSignal): Promise<ConnectorHint[]> {
    signal.throwIfAborted();
    const heard = new Answers();
    await using scope = new Scope();
    const probers = await this.#open(scope, heard);
    if (probers.length === 0) return [];
    const begun = this.modules.clock.monotonic();
    for (const part of ASK_AT) {
      const due = timeout * (part + this.modules.random.uniform() * ASK_JITTER);
      await this.#until(begun + due, signal);
      for (const prober of probers) prober.ask();
    }
    await this.#until(begun + timeout, signal);
    return heard.hints;
  }

  async #until(moment: number, signal: AbortSignal): Promise<void> {
    await sleep(this.modules.clock, milliseconds(Math.max(0, moment - this.modules.clock.monotonic())), signal);
  }

  async #open(scope: Scope, heard: Answers): Promise<SsdpProber[]> {
    const probers: SsdpProber[] = [];
    for (const iface of this.#interfaces()) {
      const onAnswer = heard.offer.bind(heard);
      const prober = new SsdpProber({ iface, ssdpPort: this.options.ssdpPort ?? SSDP_PORT, onAnswer }, this.modules);
      try {
        await scope.own(prober).start();
        probers.push(prober);
      } catch (thrown) {
        this.modules.log.debug({ interface: iface.name, problem: describe(thrown) }, 'SSDP: cannot search here');
      }
    }
    return probers;
  }

  #interfaces(): LocalInterface[] {
    try {
      return selectInterfaces(this.modules.interfaces ?? systemInterfaces, this.options.interfaces);
    } catch (thrown) {
      this.modules.log.warn({ problem: describe(thrown) }, 'SSDP: the interfaces cannot be read');
      return [];
    }
  }
}

/** The believable answers of one search, each address once, bounded in all and per source. */
export class Answers {
  readonly #hints = new Map<string, ConnectorHint>();
  readonly #perSource = new Map<string, number>();

  get hints(): ConnectorHint[] {
    return [...this.#hints.values()];
  }

  offer(headers: SsdpHeaders, status: number, from: { readonly address: string }, iface: LocalInterface): void {
    if (this.#hints.size >= MAX_HINTS) return;
    const fromSource = this.#perSource.get(from.address) ?? 0;
    if (fromSource >= MAX_HINTS_PER_SOURCE) return;
    const hint = hintFrom(headers, status, iface);
    if (!hint || this.#hints.has(formatAddress(hint))) return;
    this.#hints.set(formatAddress(hint), hint);
    this.#perSource.set(from.address, fromSource + 1);
  }
}
