// A cloud with latest readings, and with hubs that are there or not, as a test says.
import type { Scope } from '../../../../gen/occmesh/access/v1/access.js';
import { MachineState, SensorState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Path } from '../../../../gen/occmesh/link/v1/link.js';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import type { MachineRecord } from '../../../../src/cloud/inventory/records.js';
import type { LatestTextModules } from '../../../../src/cloud/openmetrics/latest-text.js';
import { LatestReadings } from '../../../../src/cloud/telemetry/latest.js';
import type { UserCaller } from '../../../../src/contract/callers.js';
import { uuidBytes } from '../../../../src/identity/uuid.js';
import { epochMs } from '../../../../src/kernel/duration.js';
import type { MetricValue } from '../../../../src/telemetry/reading.js';
import { TestCloud } from '../inventory/fixture.js';

export class ScrapedCloud implements AsyncDisposable {
  readonly latest = new LatestReadings();
  /** By machine; online by default. */
  readonly states = new Map<string, MachineState>();
  /** How far a machine's clock is ahead. */
  readonly offsets = new Map<string, number>();
  readonly modules: LatestTextModules & { readonly inventory: TestCloud['inventory'] };
  #flush = 0;

  private constructor(readonly cloud: TestCloud) {
    const { inventory, clock } = cloud;
    this.modules = {
      inventory,
      latest: this.latest,
      clock,
      presence: {
        of: (id) => ({
          state: this.states.get(id) ?? MachineState.ONLINE,
          clockOffsetMs: this.offsets.get(id) ?? 0,
          ...{ path: Path.CONNECTOR, connectorId: '', lastSeenMs: 0, queuedReadings: 0, queuedAgeMs: 0 },
          ...{ software: '', hubCount: 0, connectorLost: false },
        }),
      },
      states: { of: () => ({ state: SensorState.WARNING, attempt: 1, flapping: false }) },
    };
  }

  static async start(): Promise<ScrapedCloud> {
    return new ScrapedCloud(await TestCloud.start());
  }

  /** An API token. */
  async token(
    caller: UserCaller,
    customerId?: string,
    scopes?: readonly Scope[],
  ): Promise<{ text: string; id: string }> {
    const { token, text } = await this.cloud.inventory.tokens.createApi({
      caller,
      scopes,
      customerId,
      lifetimeMs: 0,
      name: '',
    });
    return { text, id: token.id };
  }

  /** A hub with one sensor, which stands first among its sensors. */
  async hub(customerId: string): Promise<{ hub: MachineRecord; sensor: number; name: string }> {
    const { record } = await this.cloud.enrolled(customerId, 'hub');
    const [sensor] = this.cloud.inventory.sensors.of(record.id);
    if (!sensor) throw new Error('no sensor');
    return { hub: record, sensor: sensor.number, name: sensor.name };
  }

  measured(hub: MachineRecord, sensor: number, values: readonly MetricValue[], age = 0): void {
    const takenAt = epochMs(this.cloud.clock.now() - age + (this.offsets.get(hub.id) ?? 0));
    const reading = { sensor, takenAt, state: State.OK, message: '', values };
    const flush = this.#flush++;
    const key = { customer: uuidBytes(hub.customerId), machine: uuidBytes(hub.id) };
    this.latest.stored(key, Buffer.alloc(16, 1), { latest: () => [{ reading, flush, position: 0 }] });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cloud[Symbol.asyncDispose]();
  }
}
