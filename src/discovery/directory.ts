// The hub's one door to discovery: everywhere a connector may be, best first. It finds addresses and remembers those that
// proved right; it connects to nothing and judges nobody.
import { type Duration, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import { type Address, type ConnectorHint, formatAddress, parseAddress } from './hint.js';
import { RememberedConnectors } from './remembered.js';

/** What the cloud names beyond this is not believed to be a list of connectors of one customer network. */
export const MAX_ADVERTISED = 32;
const SEARCH_TIME = seconds(3);

/** SsdpSearcher, or what stands in for it. */
export interface Searcher {
  search(timeout: Duration, signal: AbortSignal): Promise<ConnectorHint[]>;
}

export interface DirectoryOptions {
  /** The file of remembered connectors. */
  readonly file: string;
  /** Addresses given by hand, as host:port. */
  readonly configured: readonly string[];
  /** How long candidates() listens for answers from the local network; default 3 s. */
  readonly searchTime?: Duration;
}

export interface DirectoryModules {
  readonly log: Logger;
  /** Without it the local network is not searched. */
  readonly searcher?: Searcher;
}

export class ConnectorDirectory {
  #advertised: readonly ConnectorHint[] = [];

  private constructor(
    private readonly options: DirectoryOptions,
    private readonly modules: DirectoryModules,
    private readonly configured: readonly ConnectorHint[],
    private readonly remembered: RememberedConnectors,
  ) {}

  /** Rejects with AddressFault when a configured address is not one. A damaged file of remembered ones is set aside. */
  static async open(options: DirectoryOptions, modules: DirectoryModules): Promise<ConnectorDirectory> {
    const configured = options.configured.map((text) => ({ ...parseAddress(text), source: 'configured' as const }));
    const remembered = await RememberedConnectors.open(options.file, modules.log);
    return new ConnectorDirectory(options, modules, configured, remembered);
  }

  /** What is known without asking the network: the last good one, configured, advertised, other remembered ones. */
  known(): ConnectorHint[] {
    const [lastGood, ...others] = this.remembered.hints;
    return distinct([...(lastGood ? [lastGood] : []), ...this.configured, ...this.#advertised, ...others]);
  }

  /**
   * known(), then what answers in the local network; each address once. Takes `searchTime` when there is a searcher, so
   * try known() first. Rejects only with the signal's reason.
   */
  async candidates(signal: AbortSignal): Promise<ConnectorHint[]> {
    const found = await this.#search(signal);
    return distinct([...this.known(), ...found]);
  }

  /** Call after a proven session, with the machine id from the certificate: next time this one is tried first. */
  async remember(hint: ConnectorHint): Promise<void> {
    await this.remembered.add(hint);
  }

  /** Call when a connector's certificate was revoked. Says nothing about configured addresses: those belong to people. */
  async forget(machineId: string): Promise<void> {
    await this.remembered.remove(machineId);
  }

  /** Replaces what the cloud's desired state names, as host:port. What is not an address is logged and left out. */
  setAdvertised(addresses: readonly string[]): void {
    const hints: ConnectorHint[] = [];
    for (const text of addresses.slice(0, MAX_ADVERTISED)) {
      const address = this.#tryParse(text);
      if (address) hints.push({ ...address, source: 'advertised' });
    }
    this.#advertised = hints;
  }

  #tryParse(text: string): Address | undefined {
    try {
      return parseAddress(text);
    } catch (thrown) {
      this.modules.log.warn({ problem: describe(thrown) }, 'the cloud names a connector that is left out');
      return undefined;
    }
  }

  async #search(signal: AbortSignal): Promise<ConnectorHint[]> {
    signal.throwIfAborted();
    try {
      return (await this.modules.searcher?.search(this.options.searchTime ?? SEARCH_TIME, signal)) ?? [];
    } catch (thrown) {
      signal.throwIfAborted();
      this.modules.log.warn({ problem: describe(thrown) }, 'the search for connectors failed');
      return [];
    }
  }
}

/** Each address once, where it stands first; what later hints claim about the same address is not mixed in. */
function distinct(hints: readonly ConnectorHint[]): ConnectorHint[] {
  const byAddress = new Map<string, ConnectorHint>();
  for (const hint of hints) {
    const key = formatAddress(hint);
    if (!byAddress.has(key)) byAddress.set(key, hint);
  }
  return [...byAddress.values()];
}
