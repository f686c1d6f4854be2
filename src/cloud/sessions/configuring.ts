// The desired state on its way to one hub. One at a time: of many changes in a row only the first and the last travel,
// however long a state takes.
import type { Applied } from '../../../gen/occmesh/link/v1/link.js';
import type { CloudSession } from '../../link/cloud-session.js';
import type { HubHost } from './hub-host.js';
import type { SessionServices } from './services.js';

export class Configuring {
  /** Its version. */
  #underWay: number | undefined;

  constructor(
    private readonly services: Pick<SessionServices, 'inventory' | 'signDesiredState'>,
    private readonly host: Pick<HubHost, 'machineId' | 'quarantined'>,
  ) {}

  /** Unless the hub has it already (`known`), or is in quarantine. */
  send(session: CloudSession, known: number): void {
    if (this.host.quarantined || this.#underWay !== undefined) return;
    const state = this.services.inventory.desiredState(this.host.machineId);
    if (!state || state.version === known || session.state !== 'up') return;
    this.#underWay = state.version;
    session.sendDesiredState(this.services.signDesiredState(state));
  }

  async applied(session: CloudSession, applied: Applied): Promise<void> {
    if (applied.version === this.#underWay) {
      this.#underWay = undefined;
      this.send(session, applied.version);
    }
    await this.services.inventory.recordApplied(this.host.machineId, applied);
  }
}
