// events.v1.MaintenanceService.
import type {
  CreateMaintenanceRequest,
  EndMaintenanceRequest,
  EndMaintenanceResponse,
  ListMaintenancesRequest,
  ListMaintenancesResponse,
  Maintenance,
  MaintenanceSchedule,
} from '../../../gen/occmesh/events/v1/events.js';
import { invalid } from '../../contract/status.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { days, minutes } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import { cronOf, type Maintenances } from '../alarms/maintenance.js';
import { maintenanceToProto } from '../alarms/messages.js';
import type { MaintenanceRecord } from '../alarms/records.js';
import type { Inventory } from '../inventory/inventory.js';
import { notFound } from '../records/faults.js';
import { page } from './paging.js';
import { type Call, View } from './tenancy.js';
import { requireComment, requireId, requireRange } from './validation.js';

const [SHORTEST, LONGEST] = [minutes(1), days(7)];

export class MaintenanceService {
  constructor(private readonly modules: { inventory: Inventory; maintenances: Maintenances; clock: Clock }) {}

  readonly createMaintenance = async (request: CreateMaintenanceRequest, call: Call): Promise<Maintenance> => {
    const view = this.#view(call);
    const machine = request.machineId === '' ? undefined : view.machine('machine_id', request.machineId);
    const customerId = request.customerId === '' ? (machine?.customerId ?? view.bound) : request.customerId;
    const customer = view.customer('customer_id', customerId ?? '');
    if (machine && machine.customerId !== customer.id) throw notFound('machine');
    const now = this.modules.clock.now();
    const fromMs = request.fromMs === 0 ? now : request.fromMs;
    const { untilMs } = request;
    if (untilMs === 0 && !request.schedule) throw invalid('until_ms', 'is missing');
    if (untilMs !== 0 && untilMs <= Math.max(fromMs, now))
      throw invalid('until_ms', 'must be after from_ms, and not past');
    const planned = await this.modules.maintenances.plan({
      customerId: customer.id,
      fromMs,
      comment: requireComment('comment', request.comment),
      planned: { by: view.name, atMs: now, comment: '' },
      ...defined({
        machineId: machine?.id,
        untilMs: untilMs === 0 ? undefined : untilMs,
        schedule: request.schedule && requireSchedule(request.schedule),
      }),
    });
    return this.#toProto(planned);
  };

  readonly listMaintenances = async (
    request: ListMaintenancesRequest,
    call: Call,
  ): Promise<ListMaintenancesResponse> => {
    const customerId = this.#view(call).filter('customer_id', request.customerId);
    const wanted = [...this.modules.maintenances.all()].filter(
      (one) => (customerId ?? one.customerId) === one.customerId,
    );
    const { items, nextPageToken } = page(wanted, ({ id }) => id, request);
    return { maintenances: items.map((one) => this.#toProto(one)), nextPageToken };
  };

  readonly endMaintenance = async (request: EndMaintenanceRequest, call: Call): Promise<EndMaintenanceResponse> => {
    const view = this.#view(call);
    const maintenance = this.modules.maintenances.get(requireId('id', request.id));
    if (!maintenance || !view.sees(maintenance.customerId)) throw notFound('maintenance');
    await this.modules.maintenances.end(maintenance.id);
    return {};
  };

  #view(call: Call): View {
    return View.of(this.modules.inventory, call.principal);
  }

  #toProto(maintenance: MaintenanceRecord): Maintenance {
    return maintenanceToProto(maintenance, this.modules.maintenances.isActive(maintenance));
  }
}

function requireSchedule(schedule: MaintenanceSchedule): NonNullable<MaintenanceRecord['schedule']> {
  const { cron, timeZone, durationMs } = schedule;
  if (cron.length > 128) throw invalid('schedule.cron', 'must have at most 128 characters');
  if (!/^\s*(@\w+|\S+(\s+\S+){4})\s*$/.test(cron)) {
    throw invalid('schedule.cron', 'must have five parts: minute, hour, day, month, day of the week');
  }
  if (!isTimeZone(timeZone)) throw invalid('schedule.time_zone', `there is no zone "${timeZone}"`);
  try {
    if (!cronOf(schedule).nextRun()) throw new Error('never comes');
  } catch (thrown) {
    throw invalid('schedule.cron', `cannot be used: ${describe(thrown).replace(/^Cron\w+: /, '')}`);
  }
  return { cron, timeZone, durationMs: requireRange('schedule.duration_ms', durationMs, SHORTEST, LONGEST) };
}

function isTimeZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timeZone || 'UTC' });
    return true;
  } catch {
    return false;
  }
}
