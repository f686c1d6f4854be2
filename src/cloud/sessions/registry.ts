// Which session is a hub's current one. Taking over is immediate and in memory: from that moment on nothing of the
// older session is stored, because commits ask here.
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { LinkFault } from '../../link/fault.js';
import { ending } from '../../link/pipe.js';
import type { HubHost } from './hub-host.js';

export class SessionRegistry {
  readonly #current = new Map<string, HubHost>();
  /** Of each hub, the place of the last session that took over. */
  readonly #taken = new Map<string, number>();
  #places = 0;

  /** The place of a session that begins now, in the order of all sessions: before its Challenge is sent. */
  nextPlace(): number {
    return ++this.#places;
  }

  /**
   * Makes `host` its hub's current session and ends the one before. Faults: link.superseded when a session that began
   * later has taken over already: a carrier may hold a Hello back until its hub has gone on elsewhere. Taken for a new
   * one, it would end the hub's session, and pass for the Hello of a hub that was rolled back.
   */
  take(host: HubHost): void {
    if (host.place < (this.#taken.get(host.machineId) ?? 0)) {
      throw new LinkFault('link.superseded', 'this Hello is older than a session that the hub has had since');
    }
    this.#taken.set(host.machineId, host.place);
    const before = this.#current.get(host.machineId);
    this.#current.set(host.machineId, host);
    before?.close(ending(CloseCode.SUPERSEDED, 'a newer session of this hub has taken over'));
  }

  /** True when it was current until now. */
  leave(host: HubHost): boolean {
    if (!this.isCurrent(host)) return false;
    this.#current.delete(host.machineId);
    return true;
  }

  isCurrent(host: HubHost): boolean {
    return this.#current.get(host.machineId) === host;
  }

  /** A session may write its record down while it is current, and last words as long as nobody has taken over. */
  mayRemember(host: HubHost): boolean {
    const current = this.#current.get(host.machineId);
    return current === undefined || current === host;
  }

  of(machineId: string): HubHost | undefined {
    return this.#current.get(machineId);
  }

  all(): HubHost[] {
    return [...this.#current.values()];
  }
}
