// All services for people and programs, each with its changes on record in the audit log.
import {
  AlarmServiceService,
  EventServiceService,
  MaintenanceServiceService,
  NotificationServiceService,
} from '../../../gen/occmesh/events/v1/events.js';
import {
  CustomerServiceService,
  MachineServiceService,
  SensorServiceService,
  TokenServiceService,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import { OperationsServiceService } from '../../../gen/occmesh/operations/v1/operations.js';
import { ReadingServiceService } from '../../../gen/occmesh/readings/v1/readings.js';
import { SecretServiceService } from '../../../gen/occmesh/secrets/v1/secrets.js';
import type { Implementation } from '../../contract/handlers.js';
import type { GrpcListener } from '../../contract/listener.js';
import { type AnyService, encodedAnswers } from '../../contract/service.js';
import type { Inventory } from '../inventory/inventory.js';
import type { Monitoring } from '../monitoring.js';
import type { Notifications } from '../notify/notifications.js';
import type { SessionServices } from '../sessions/services.js';
import type { LatestReadings } from '../telemetry/latest.js';
import type { Watchers } from '../telemetry/watch.js';
import { AlarmService } from './alarm-service.js';
import { audited } from './audit.js';
import { CustomerService } from './customer-service.js';
import { EventService } from './event-service.js';
import { MachineService } from './machine-service.js';
import { MaintenanceService } from './maintenance-service.js';
import { NotificationService } from './notification-service.js';
import { OperationsService } from './operations-service.js';
import type { Commands, MeshFacts } from './ports.js';
import { ReadingService } from './reading-service.js';
import { type Requests, repeatable } from './requests.js';
import { SecretService } from './secret-service.js';
import { SensorService } from './sensor-service.js';
import { TokenService } from './token-service.js';

export interface ApiModules {
  readonly services: Pick<SessionServices, 'store' | 'ledger' | 'presence' | 'clock' | 'random' | 'log' | 'software'>;
  readonly inventory: Inventory;
  readonly monitoring: Monitoring;
  readonly notifications: Notifications;
  readonly latest: LatestReadings;
  readonly watchers: Watchers;
  readonly commands: Commands;
  readonly mesh: MeshFacts;
  /** The cloud's data directory. */
  readonly directory: string;
  /** Paths of the methods that change something. */
  readonly changes: ReadonlySet<string>;
  readonly requests: Requests;
}

export function addServices(listener: GrpcListener, modules: ApiModules): void {
  const { services, inventory, monitoring, notifications, latest, watchers, commands, mesh, directory } = modules;
  const { changes, requests } = modules;
  const { store, ledger, presence, clock, random, log, software } = services;
  const { journal, events, alarms, states, maintenances: maintenance } = monitoring;
  const ownerOf = (id: string) => (alarms.get(id) ?? maintenance.get(id) ?? notifications.channels.get(id))?.customerId;
  const audit = { changes, journal, events, inventory, ownerOf, log };
  const add = <S extends AnyService>(service: S, implementation: Implementation<S>) =>
    listener.add(service, audited(service, repeatable(service, implementation, requests), audit));
  const isMember = (id: string) => inventory.machines.get(id)?.retiredAtMs === undefined;
  const unreachableBehind = (id: string) => presence.unreachableBehind(id, isMember);

  add(CustomerServiceService, new CustomerService(inventory));
  add(MachineServiceService, new MachineService({ inventory, presence, maintenance }));
  add(SensorServiceService, new SensorService({ inventory, commands, states, maintenance }));
  add(SecretServiceService, new SecretService({ inventory, random }));
  add(TokenServiceService, new TokenService({ inventory, mesh }));
  const getLatest = encodedAnswers(ReadingServiceService.getLatest);
  const watchReadings = encodedAnswers(ReadingServiceService.watchReadings);
  const reading = { inventory, store, ledger, presence, latest, watchers, clock, random };
  add({ ...ReadingServiceService, getLatest, watchReadings }, new ReadingService(reading));
  add(OperationsServiceService, new OperationsService({ directory, store, software, clock, log }));
  add(AlarmServiceService, new AlarmService({ inventory, alarms, maintenance, unreachableBehind, clock }));
  add(MaintenanceServiceService, new MaintenanceService({ inventory, maintenances: maintenance, clock }));
  add(NotificationServiceService, new NotificationService({ inventory, notifications, clock }));
  add(EventServiceService, new EventService({ inventory, events }));
}
