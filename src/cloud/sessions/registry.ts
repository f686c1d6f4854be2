// Which session is a hub's current one. Taking over is immediate and in memory: from that moment on nothing of the
// older session is stored, because commits ask here.
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { ending } from '../../link/pipe.js';
import type { HubHost } from './hub-host.js';

export class SessionRegistry {
  readonly #current = new Map<string, HubHost>();

  /** Makes `host` its hub's current session and ends the one before. */
  take(host: HubHost): void {
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
