// events.v1.NotificationService.
import type {
  Channel,
  CreateChannelRequest,
  CreateChannelResponse,
  DeleteChannelRequest,
  DeleteChannelResponse,
  ListChannelsRequest,
  ListChannelsResponse,
  TestChannelRequest,
  TestChannelResponse,
} from '../../../gen/occmesh/events/v1/events.js';
import { ApiFault } from '../../contract/fault.js';
import { invalid } from '../../contract/status.js';
import type { Clock } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { days, seconds } from '../../kernel/duration.js';
import { TokenBucket } from '../../kernel/token-bucket.js';
import { SEVERITIES } from '../alarms/messages.js';
import type { ChannelRecord } from '../alarms/records.js';
import type { Inventory } from '../inventory/inventory.js';
import { isEmailAddress } from '../notify/email.js';
import type { Notifications } from '../notify/notifications.js';
import { urlProblem } from '../notify/webhook.js';
import { notFound } from '../records/faults.js';
import { page } from './paging.js';
import { type Call, View } from './tenancy.js';
import { requireId, requireName, requireRange, requireSeverity } from './validation.js';

const DEFAULT_DEFER = seconds(30);
const LONGEST_DEFER = days(1);
const MOST_RECIPIENTS = 16;
/** Trial messages, for each customer: somebody else gets them. */
const TRIALS = { burst: 6, perSecond: 0.1 };

export interface NotificationServiceModules {
  readonly inventory: Inventory;
  readonly notifications: Notifications;
  readonly clock: Clock;
}

export class NotificationService {
  readonly #trials = new Map<string, TokenBucket>();

  constructor(private readonly modules: NotificationServiceModules) {}

  readonly createChannel = async (request: CreateChannelRequest, call: Call): Promise<CreateChannelResponse> => {
    const view = this.#view(call);
    const { channels } = this.modules.notifications;
    if (request.customerId === '' && !view.isOperator) {
      throw new ApiFault('api.denied', 'only an operator makes channels for the alarms of all customers', {
        advice: 'Name the customer.',
      });
    }
    const customerId = request.customerId === '' ? undefined : view.customer('customer_id', request.customerId).id;
    const channel = await channels.create({
      ...defined({ customerId }),
      name: requireName('name', request.name),
      way: this.#requireWay(request.way),
      minSeverity: requireSeverity(request.minSeverity),
      deferMs: requireRange('defer_ms', request.deferMs ?? DEFAULT_DEFER, 0, LONGEST_DEFER),
    });
    const key = channel.way.kind === 'webhook' ? this.modules.notifications.keyOf(channel.id) : '';
    return { channel: this.#toProto(channel), key };
  };

  readonly listChannels = async (request: ListChannelsRequest, call: Call): Promise<ListChannelsResponse> => {
    const customerId = this.#view(call).filter('customer_id', request.customerId);
    const all = this.modules.notifications.channels.list(customerId);
    const { items, nextPageToken } = page(all, ({ id }) => id, request);
    return { channels: items.map((channel) => this.#toProto(channel)), nextPageToken };
  };

  readonly deleteChannel = async (request: DeleteChannelRequest, call: Call): Promise<DeleteChannelResponse> => {
    await this.modules.notifications.channels.remove(this.#channel(request.id, call).id);
    return {};
  };

  readonly testChannel = async (request: TestChannelRequest, call: Call): Promise<TestChannelResponse> => {
    const channel = this.#channel(request.id, call);
    this.#takeTrial(channel.customerId ?? '');
    return { error: (await this.modules.notifications.test(channel, call.signal)) ?? '' };
  };

  #view(call: Call): View {
    return View.of(this.modules.inventory, call.principal);
  }

  #channel(id: string, call: Call): ChannelRecord {
    const view = this.#view(call);
    const channel = this.modules.notifications.channels.get(requireId('id', id));
    if (!channel || !view.sees(channel.customerId)) throw notFound('channel');
    return channel;
  }

  #takeTrial(customerId: string): void {
    for (const [id, bucket] of this.#trials) if (bucket.isFull) this.#trials.delete(id);
    const bucket = this.#trials.get(customerId) ?? new TokenBucket(TRIALS, this.modules.clock);
    this.#trials.set(customerId, bucket);
    const retryAfter = bucket.wait();
    if (retryAfter > 0) throw new ApiFault('api.exhausted', 'too many trial messages', { retryAfter });
    bucket.take();
  }

  #requireWay(way: CreateChannelRequest['way']): ChannelRecord['way'] {
    const { privateWebhooks = false, smtp } = this.modules.notifications.options;
    switch (way?.$case) {
      case 'webhook': {
        const problem = urlProblem(way.value.url, privateWebhooks);
        if (problem) throw invalid('webhook.url', problem);
        return { kind: 'webhook', url: way.value.url };
      }
      case 'email':
        if (!smtp) {
          const advice = 'Its operator starts it with --smtp-host and --smtp-from.';
          throw new ApiFault('api.precondition', 'this cloud has no mail server', { advice });
        }
        return { kind: 'email', to: requireRecipients(way.value.to) };
      default:
        throw invalid('way', 'say webhook or email');
    }
  }

  #toProto({ id, customerId = '', name, way, minSeverity, deferMs, lastError = '' }: ChannelRecord): Channel {
    return {
      ...{ id, customerId, name, deferMs, lastError },
      way:
        way.kind === 'webhook'
          ? { $case: 'webhook', value: { url: way.url } }
          : { $case: 'email', value: { to: [...way.to] } },
      minSeverity: SEVERITIES[minSeverity],
      waiting: this.modules.notifications.channels.waiting(id),
    };
  }
}

function requireRecipients(to: readonly string[]): string[] {
  if (to.length < 1 || to.length > MOST_RECIPIENTS) {
    throw invalid('email.to', `must have 1 to ${MOST_RECIPIENTS} addresses, has ${to.length}`);
  }
  const lower = to.map((address) => address.toLowerCase());
  for (const [i, address] of to.entries()) {
    if (lower.indexOf(address.toLowerCase()) < i) throw invalid(`email.to[${i}]`, 'is there twice');
    if (!isEmailAddress(address)) throw invalid(`email.to[${i}]`, 'is not an address like somebody@example.net');
  }
  return [...to];
}
