// The entry of this folder: who is told of alarms, and that they are. What is to be told is written down by
// ../alarms/alarms.ts together with the alarm.
import { openKeyFile } from '../../identity/key-file.js';
import { newId, uuidBytes } from '../../identity/uuid.js';
import { sleep } from '../../kernel/clock.js';
import type { Duration } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Scope } from '../../kernel/scope.js';
import type { ChannelRecord } from '../alarms/records.js';
import type { Inventory } from '../inventory/inventory.js';
import { sensorId } from '../inventory/tables.js';
import { ChannelKeys } from './channel-keys.js';
import { Channels } from './channels.js';
import { Dispatcher } from './dispatcher.js';
import { type SmtpSettings, sendEmail } from './email.js';
import { emailText } from './email-text.js';
import type { AlarmNames, Message } from './message.js';
import type { OutboxModules } from './outbox.js';
import { Postage } from './postage.js';
import { resolveByDns, resolveBySystem } from './resolve.js';
import { post, webhookBody } from './webhook.js';

export interface NotifyOptions {
  /** Webhooks may also be http, and in private networks. Default: no. */
  readonly privateWebhooks?: boolean;
  /** Absent: there are no e-mails. */
  readonly smtp?: SmtpSettings;
}

export interface NotifyModules extends OutboxModules {
  readonly inventory: NamedInventory;
  /** Told of each try to bring a message, trials apart. */
  readonly onDelivery?: (accepted: boolean) => void;
  readonly log: Logger;
}

/** What e-mails need to know. */
export interface NamedInventory {
  readonly customers: Pick<Inventory['customers'], 'get'>;
  readonly machines: Pick<Inventory['machines'], 'get'>;
  readonly sensors: Pick<Inventory['sensors'], 'get'>;
}

export class Notifications {
  readonly channels: Channels;
  readonly #postage: Postage;

  private constructor(
    readonly options: NotifyOptions,
    private readonly keys: ChannelKeys,
    private readonly modules: NotifyModules,
  ) {
    this.channels = new Channels(modules);
    this.#postage = new Postage(modules.clock);
  }

  /** `keyFile` is made at the first start. Until the scope ends. Faults: identity.file-*, identity.malformed. */
  static async open(
    options: NotifyOptions & { readonly keyFile: string },
    modules: NotifyModules,
    scope: Scope,
  ): Promise<Notifications> {
    const type = { fromPem: ChannelKeys.fromPem, generate: () => ChannelKeys.generate(modules.random) };
    const keys = await openKeyFile(options.keyFile, type);
    const notifications = new Notifications(options, keys, modules);
    new Dispatcher({ ...modules, deliver: (...what) => notifications.#deliverInTime(...what) }).start(scope);
    return notifications;
  }

  /** Of a webhook's signatures, hex. */
  keyOf(channelId: string): string {
    return this.keys.of(channelId).toString('hex');
  }

  /** Sends a trial message: why it was not accepted, or undefined. */
  async test(channel: ChannelRecord, signal: AbortSignal): Promise<string | undefined> {
    const { random, clock } = this.modules;
    const wait = this.#postageFor(channel);
    if (wait) return `too many e-mails went to these addresses; the next may go in ${Math.ceil(wait / 1_000)} seconds`;
    const message = { id: newId(random, clock.now()), notices: [] };
    return this.#deliver(channel, message, signal).catch(describe);
  }

  async #deliverInTime(channel: ChannelRecord, message: Message, signal: AbortSignal): Promise<string | undefined> {
    for (let wait = this.#postageFor(channel); wait; wait = this.#postageFor(channel))
      await sleep(this.modules.clock, wait, signal);
    const { onDelivery = () => undefined } = this.modules;
    try {
      const complaint = await this.#deliver(channel, message, signal);
      onDelivery(true);
      return complaint;
    } catch (thrown) {
      if (!signal.aborted) onDelivery(false);
      throw thrown;
    }
  }

  #postageFor({ way, customerId = '' }: ChannelRecord): Duration | undefined {
    return way.kind === 'email' ? this.#postage.take(customerId, way.to) : undefined;
  }

  async #deliver(channel: ChannelRecord, message: Message, signal: AbortSignal): Promise<string | undefined> {
    const { clock } = this.modules;
    const { privateWebhooks = false, smtp } = this.options;
    const { way, id, name } = channel;
    if (way.kind === 'webhook') {
      const resolve = privateWebhooks ? resolveBySystem : resolveByDns;
      const hook = { url: way.url, key: this.keys.of(id) };
      const told = { id: message.id, body: webhookBody(message, this.#names()) };
      await post(hook, told, { private: privateWebhooks }, { clock, resolve }, signal);
      return undefined;
    }
    if (!smtp) throw new Error('the cloud has no mail server: it was started without --smtp-host');
    const email = { id: message.id, to: way.to, writtenAtMs: timeOf(message.id) };
    return sendEmail({ ...email, ...emailText(message, name, this.#names()) }, smtp, { clock }, signal);
  }

  #names(): AlarmNames {
    const { customers, machines, sensors } = this.modules.inventory;
    return {
      customer: (id) => customers.get(id)?.name ?? id,
      machine: (id) => machines.get(id)?.name ?? id,
      sensor: (machineId, sensor) => sensors.get(sensorId(machineId, sensor))?.name ?? `sensor ${sensor}`,
    };
  }
}

/** When a message was made stands in its id (RFC 9562 section 5.7), and is the same in every repetition. */
const timeOf = (id: string): number => uuidBytes(id).readUIntBE(0, 6);
