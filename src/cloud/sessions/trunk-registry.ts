// Which trunk is a connector's current one. A newer trunk ends the older: its connector has restarted, or reconnected
// before the old connection was noticed to be dead.
import { Path } from '../../../gen/occmesh/link/v1/link.js';
import { SessionRecord } from '../../../gen/occmesh/store/v1/store.js';
import { CloseCode, type TrunkHello } from '../../../gen/occmesh/trunk/v1/trunk.js';
import type { Clock } from '../../kernel/clock.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import { ending } from '../../link/pipe.js';
import type { Store } from '../../storage/store.js';
import type { Presence } from './presence.js';
import type { SessionInventory } from './services.js';
import { putSessionRecord } from './session-record.js';
import type { TrunkHost } from './trunk-host.js';

export class TrunkRegistry {
  readonly #current = new Map<string, TrunkHost>();
  readonly #goodbyes = new Set<TrunkHost>();

  constructor(
    private readonly modules: {
      readonly presence: Presence;
      readonly inventory: Pick<SessionInventory, 'setLanAddresses'>;
      readonly store: Store;
      readonly clock: Clock;
      readonly log: Logger;
    },
  ) {}

  take(trunk: TrunkHost, hello: TrunkHello): void {
    const { presence, inventory, log } = this.modules;
    const before = this.#current.get(trunk.connectorId);
    this.#current.set(trunk.connectorId, trunk);
    before?.end(ending(CloseCode.SUPERSEDED, 'a newer trunk of this connector has taken over'));
    presence.up(trunk.connectorId, {
      path: Path.UNSPECIFIED,
      connectorId: '',
      software: hello.software,
      clockMs: hello.clockMs,
    });
    this.#remember(trunk, false);
    inventory.setLanAddresses(trunk.connectorId, hello.lanAddresses).catch((thrown) => {
      log.warn({ connector: trunk.connectorId, cause: describe(thrown) }, 'addresses of a connector not recorded');
    });
  }

  /** The connector has said goodbye: when its trunk ends, it is not lost. */
  goodbye(trunk: TrunkHost): void {
    this.#goodbyes.add(trunk);
  }

  leave(trunk: TrunkHost): void {
    const goodbye = this.#goodbyes.delete(trunk);
    if (this.#current.get(trunk.connectorId) !== trunk) return;
    this.#current.delete(trunk.connectorId);
    this.modules.presence.down(trunk.connectorId, goodbye ? 'shut-down' : 'gone');
    this.#remember(trunk, goodbye);
  }

  of(connectorId: string): TrunkHost | undefined {
    return this.#current.get(connectorId);
  }

  all(): TrunkHost[] {
    return [...this.#current.values()];
  }

  /** So that a cloud that starts again knows who has been there. Not awaited: a help, not a promise. */
  #remember(trunk: TrunkHost, shutDown: boolean): void {
    const { store, clock, log } = this.modules;
    const record = SessionRecord.fromPartial({ lastSeenMs: clock.now(), shutDown });
    store
      .commit(() => [putSessionRecord(trunk, record)])
      .catch((thrown) => log.warn({ connector: trunk.connectorId, cause: describe(thrown) }, 'trunk not recorded'));
  }
}
