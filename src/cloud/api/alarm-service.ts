// events.v1.AlarmService.
import {
  type AcknowledgeAlarmRequest,
  type Alarm,
  AlarmCause,
  type CommentAlarmRequest,
  type ListAlarmsRequest,
  type ListAlarmsResponse,
  type SilenceAlarmRequest,
} from '../../../gen/occmesh/events/v1/events.js';
import { invalid } from '../../contract/status.js';
import type { Clock } from '../../kernel/clock.js';
import { days } from '../../kernel/duration.js';
import type { Alarms } from '../alarms/alarms.js';
import { alarmToProto, CAUSES } from '../alarms/messages.js';
import type { AlarmRecord, Remark } from '../alarms/records.js';
import { atLeast } from '../alarms/telling.js';
import type { Inventory } from '../inventory/inventory.js';
import { notFound } from '../records/faults.js';
import { newestFirst, page } from './paging.js';
import type { InMaintenance } from './ports.js';
import { type Call, View } from './tenancy.js';
import { requireComment, requireEach, requireId, requireSeverity } from './validation.js';

const LONGEST_SILENCE = days(366);

export interface AlarmServiceModules {
  readonly inventory: Inventory;
  readonly alarms: Alarms;
  readonly maintenance: InMaintenance;
  readonly unreachableBehind: (connectorId: string) => number;
  readonly clock: Clock;
}

export class AlarmService {
  constructor(private readonly modules: AlarmServiceModules) {}

  readonly listAlarms = async (request: ListAlarmsRequest, call: Call): Promise<ListAlarmsResponse> => {
    const { items, nextPageToken } = page(this.#listed(request, call), ({ id }) => newestFirst(id), request);
    return { alarms: items.map((alarm) => this.#alarmOf(alarm)), nextPageToken };
  };

  readonly acknowledgeAlarm = async (request: AcknowledgeAlarmRequest, call: Call): Promise<Alarm> => {
    const { id } = this.#alarm(request.id, call);
    return this.#alarmOf(await this.modules.alarms.acknowledge(id, this.#remark(request.comment, call)));
  };

  readonly commentAlarm = async (request: CommentAlarmRequest, call: Call): Promise<Alarm> => {
    const { id } = this.#alarm(request.id, call);
    if (request.comment.trim() === '') throw invalid('comment', 'is missing');
    return this.#alarmOf(await this.modules.alarms.comment(id, this.#remark(request.comment, call)));
  };

  readonly silenceAlarm = async (request: SilenceAlarmRequest, call: Call): Promise<Alarm> => {
    const { id } = this.#alarm(request.id, call);
    if (request.untilMs > this.modules.clock.now() + LONGEST_SILENCE)
      throw invalid('until_ms', 'is more than 366 days away');
    return this.#alarmOf(await this.modules.alarms.silence(id, request.untilMs));
  };

  *#listed(request: ListAlarmsRequest, call: Call): Iterable<AlarmRecord> {
    const view = View.of(this.modules.inventory, call.principal);
    const customerId = view.filter('customer_id', request.customerId);
    const machineId = request.machineId === '' ? undefined : view.machine('machine_id', request.machineId).id;
    const causes = new Set(requireEach('causes', request.causes, AlarmCause));
    const least = requireSeverity(request.minSeverity);
    const { alarms } = this.modules;
    for (const alarm of request.includeClosed ? alarms.all() : alarms.open()) {
      if (customerId !== undefined && alarm.customerId !== customerId) continue;
      if (causes.size > 0 && !causes.has(CAUSES[alarm.cause])) continue;
      if (!atLeast(alarm.severity, least)) continue;
      if (machineId === undefined || alarm.machineId === machineId) yield alarm;
    }
  }

  #alarm(id: string, { principal }: Call): AlarmRecord {
    const view = View.of(this.modules.inventory, principal);
    const alarm = this.modules.alarms.get(requireId('id', id));
    if (!alarm || !view.sees(alarm.customerId)) throw notFound('alarm');
    return alarm;
  }

  #remark(comment: string, { principal }: Call): Remark {
    const by = View.of(this.modules.inventory, principal).name;
    return { by, atMs: this.modules.clock.now(), comment: requireComment('comment', comment) };
  }

  #alarmOf(alarm: AlarmRecord): Alarm {
    const { maintenance, unreachableBehind } = this.modules;
    return alarmToProto(alarm, {
      inMaintenance: alarm.closedAtMs === undefined && maintenance.covers(alarm.machineId),
      unreachableHubs:
        alarm.cause === 'lost' && alarm.closedAtMs === undefined ? unreachableBehind(alarm.machineId) : 0,
    });
  }
}
