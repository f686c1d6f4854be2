// All services of inventory.v1, secrets.v1 and events.v1 on one test cloud, called as the edge calls them: requests and
// answers pass through their
// encodings, so that a test sees what a client would.
import { join } from 'node:path';
import { Scope as AccessScope, Caller } from '../../../../gen/occmesh/access/v1/access.js';
import {
  AlarmServiceService,
  EventServiceService,
  MaintenanceServiceService,
  NotificationServiceService,
} from '../../../../gen/occmesh/events/v1/events.js';
import {
  CustomerServiceService,
  MachineServiceService,
  MachineState,
  SensorServiceService,
  SensorState,
  TokenServiceService,
} from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { Outcome, Path, type Result } from '../../../../gen/occmesh/link/v1/link.js';
import { SecretServiceService } from '../../../../gen/occmesh/secrets/v1/secrets.js';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { AlarmService } from '../../../../src/cloud/api/alarm-service.js';
import { CustomerService } from '../../../../src/cloud/api/customer-service.js';
import { EventService } from '../../../../src/cloud/api/event-service.js';
import { MachineService } from '../../../../src/cloud/api/machine-service.js';
import { MaintenanceService } from '../../../../src/cloud/api/maintenance-service.js';
import { NotificationService } from '../../../../src/cloud/api/notification-service.js';
import type { Commands, MachinePresence, MeshFacts } from '../../../../src/cloud/api/ports.js';
import { Requests, repeatable } from '../../../../src/cloud/api/requests.js';
import { SecretService } from '../../../../src/cloud/api/secret-service.js';
import { SensorService } from '../../../../src/cloud/api/sensor-service.js';
import { TokenService } from '../../../../src/cloud/api/token-service.js';
import { Monitoring } from '../../../../src/cloud/monitoring.js';
import { Notifications } from '../../../../src/cloud/notify/notifications.js';
import { Presence } from '../../../../src/cloud/sessions/presence.js';
import type { Principal } from '../../../../src/contract/callers.js';
import type { CallContext, Implementation } from '../../../../src/contract/handlers.js';
import { StatusTranslator } from '../../../../src/contract/status.js';
import { seconds } from '../../../../src/kernel/duration.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { Scope } from '../../../../src/kernel/scope.js';
import type { Store } from '../../../../src/storage/store.js';
import { TestCloud } from '../inventory/fixture.js';

const { listEvents } = EventServiceService;
export const DEFINITIONS = {
  ...AlarmServiceService,
  ...MaintenanceServiceService,
  ...NotificationServiceService,
  listEvents,
  ...CustomerServiceService,
  ...MachineServiceService,
  ...SensorServiceService,
  ...SecretServiceService,
  ...TokenServiceService,
};
export type Rpc = keyof typeof DEFINITIONS;
type Request<R extends Rpc> = ReturnType<(typeof DEFINITIONS)[R]['requestDeserialize']>;
type Response<R extends Rpc> = ReturnType<(typeof DEFINITIONS)[R]['responseDeserialize']>;

export const OPERATOR: Principal = { kind: 'user', caller: Caller.OPERATOR, tokenId: 'o' };
export const adminOf = (customerId: string): Principal => ({
  kind: 'user',
  caller: Caller.CUSTOMER_ADMIN,
  customerId,
  tokenId: 'a',
});
export const readerOf = (customerId: string): Principal => ({
  kind: 'user',
  caller: Caller.CUSTOMER_READER,
  customerId,
  tokenId: 'r',
});

/** With every scope there is. */
export const serviceOf = (customerId: string): Principal => ({
  kind: 'user',
  caller: Caller.SERVICE,
  customerId,
  scopes: Object.values(AccessScope).filter((scope): scope is AccessScope => typeof scope === 'number' && scope > 0),
  tokenId: 's',
});
/** Everybody who sees one customer only. */
export const boundTo = (customerId: string): readonly Principal[] =>
  [adminOf, readerOf, serviceOf].map((of) => of(customerId));

/** Nothing is known of any machine. */
export const SILENT: MachinePresence = {
  state: MachineState.NEVER_SEEN,
  path: Path.UNSPECIFIED,
  connectorId: '',
  lastSeenMs: 0,
  queuedReadings: 0,
  queuedAgeMs: 0,
  clockOffsetMs: 0,
  software: '',
  hubCount: 0,
  connectorLost: false,
};

export class TestApi implements AsyncDisposable {
  readonly presence = new Map<string, MachinePresence>();
  readonly commands: [machine: string, sensor: number][] = [];
  result: Result = { commandId: 1, outcome: Outcome.DONE, message: 'fine', state: State.OK };

  #requests: { readonly store: Store; readonly opened: Promise<Requests> } | undefined;

  private constructor(
    readonly cloud: TestCloud,
    readonly monitoring: Monitoring,
    readonly notifications: Notifications,
    private readonly scope: Scope,
  ) {}

  static async start(): Promise<TestApi> {
    const cloud = await TestCloud.start();
    const { store, inventory, clock } = cloud;
    const scope = new Scope();
    const presence = new Presence(clock, seconds(45));
    const modules = { store, inventory, presence, clock, random: systemRandom, log: silentLogger };
    const monitoring = await Monitoring.open(modules, scope);
    const { journal, events } = monitoring;
    const telling = { journal, events, inventory, clock, random: systemRandom, log: silentLogger };
    const keyFile = join(cloud.directory, 'notify.key');
    return new TestApi(cloud, monitoring, await Notifications.open({ keyFile }, telling, scope), scope);
  }

  get mesh(): MeshFacts {
    const { authority, sealingKey } = this.cloud;
    return {
      cloud: 'cloud.example:443',
      caCertificates: authority.bundle.ders,
      enrollmentKey: sealingKey.publicKey,
    };
  }

  async call<R extends Rpc>(rpc: R, principal: Principal, request: Partial<Request<R>>): Promise<Response<R>> {
    const definition = DEFINITIONS[rpc];
    const complete = { ...definition.requestDeserialize(Buffer.alloc(0)), ...request };
    const received = definition.requestDeserialize(definition.requestSerialize(complete as never));
    const context = { principal, signal: new AbortController().signal };
    const requests = await this.#requestsOf(this.cloud.store);
    // The edge hands over more than the services use.
    const run = repeatable(DEFINITIONS, this.#services(), requests)[rpc] as (
      q: unknown,
      c: Partial<CallContext>,
    ) => Promise<unknown>;
    const answer = await run(received, context);
    return definition.responseDeserialize(definition.responseSerialize(answer as never)) as Response<R>;
  }

  /** Of the store that there is: another one is another start of the cloud. */
  #requestsOf(store: Store): Promise<Requests> {
    const customers = () => [...this.cloud.inventory.customers.all()].map(({ id }) => id);
    if (this.#requests?.store !== store) {
      this.#requests = { store, opened: Requests.open({ store, clock: this.cloud.clock, customers }, this.scope) };
    }
    return this.#requests.opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scope.stop();
    await this.cloud[Symbol.asyncDispose]();
  }

  /** Made anew for each call, because a restart of the cloud changes the inventory. That they fit is for the compiler. */
  #services(): Implementation<typeof DEFINITIONS> {
    const { inventory, clock } = this.cloud;
    const { alarms, events, maintenances } = this.monitoring;
    const presence = { of: (id: string) => this.presence.get(id) ?? SILENT };
    const commands: Commands = {
      runSensor: async (machine, sensor) => {
        this.commands.push([machine, sensor]);
        return this.result;
      },
    };
    const maintenance = { covers: () => false };
    const states = { of: () => ({ state: SensorState.INITIALISING, attempt: 0, flapping: false }) };
    const customers: Implementation<typeof CustomerServiceService> = new CustomerService(inventory);
    const machines: Implementation<typeof MachineServiceService> = new MachineService({
      inventory,
      presence,
      maintenance,
    });
    const sensors: Implementation<typeof SensorServiceService> = new SensorService({
      inventory,
      commands,
      states,
      maintenance,
    });
    const secrets: Implementation<typeof SecretServiceService> = new SecretService({ inventory, random: systemRandom });
    const tokens: Implementation<typeof TokenServiceService> = new TokenService({ inventory, mesh: this.mesh });
    const unreachableBehind = () => 0;
    const alarming = new AlarmService({ inventory, alarms, maintenance: maintenances, unreachableBehind, clock });
    const alarm: Implementation<typeof AlarmServiceService> = alarming;
    const mending = new MaintenanceService({ inventory, maintenances, clock });
    const mend: Implementation<typeof MaintenanceServiceService> = mending;
    const { notifications } = this;
    const notifying = new NotificationService({ inventory, notifications, clock });
    const notify: Implementation<typeof NotificationServiceService> = notifying;
    const { listEvents } = new EventService({ inventory, events });
    return { ...alarm, ...mend, ...notify, listEvents, ...customers, ...machines, ...sensors, ...secrets, ...tokens };
  }
}

/** Code and text of the fault, as far as a caller is told. */
export async function faultOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    return thrown instanceof Error && 'code' in thrown ? `${String(thrown.code)}: ${thrown.message}` : String(thrown);
  }
  return 'no fault';
}

const translator = new StatusTranslator({ log: silentLogger, random: systemRandom });

/** Those requests for somebody else's that are not answered, in code, text and details, as if there were no such thing. */
export async function toldApart(
  call: (request: object) => Promise<unknown>,
  theirs: readonly object[],
  none: readonly object[],
): Promise<object[]> {
  const told = (request: object) =>
    call(request).then(
      () => 'done',
      (thrown) => {
        const { code, details, metadata } = translator.toStatus(thrown);
        return JSON.stringify([code, details, metadata]);
      },
    );
  const apart: object[] = [];
  for (const [i, request] of theirs.entries()) {
    const [one, other] = [await told(request), await told(none[i] ?? {})];
    if (one !== other || !/no such \w+/.test(one)) apart.push(request);
  }
  return apart;
}
