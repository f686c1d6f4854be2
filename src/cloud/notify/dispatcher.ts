// One courier for each channel there is.
import { describe } from '../../kernel/fault.js';
import type { Scope } from '../../kernel/scope.js';
import { Courier, type CourierModules } from './courier.js';
import { MOST_WAITING, Outbox, type OutboxModules } from './outbox.js';

export type DispatcherModules = OutboxModules & Omit<CourierModules, 'outbox'>;

export class Dispatcher {
  readonly #outbox: Outbox;
  readonly #couriers = new Map<string, { readonly courier: Courier; readonly scope: Scope }>();
  readonly #trimming = new Set<string>();

  constructor(private readonly modules: DispatcherModules) {
    this.#outbox = new Outbox(modules);
  }

  /** Until the scope ends: what is then under way is begun anew by the next start. */
  start(scope: Scope): void {
    const { channels, notices } = this.modules.journal.tables;
    scope.defer(
      channels.onChange(({ before, after }) => {
        if (after) this.#employ(after.id, scope);
        else if (before) this.#dismiss(before.id);
      }),
    );
    scope.defer(
      notices.onChange(({ after }) => {
        if (!after) return;
        this.#couriers.get(after.channelId)?.courier.wake();
        if (notices.groupSize(after.channelId) > MOST_WAITING) this.#trim(after.channelId, scope);
      }),
    );
    for (const { id } of channels.all()) this.#employ(id, scope);
  }

  #employ(channelId: string, parent: Scope): void {
    if (this.#couriers.has(channelId) || parent.signal.aborted) return;
    const { log } = this.modules;
    const courier = new Courier(channelId, { ...this.modules, outbox: this.#outbox });
    const scope = parent.child();
    this.#couriers.set(channelId, { courier, scope });
    scope.run(
      (signal) => courier.run(signal),
      (error) => log.error({ channel: channelId, cause: describe(error) }, 'a channel is told nothing more'),
    );
  }

  #dismiss(channelId: string): void {
    const employed = this.#couriers.get(channelId);
    this.#couriers.delete(channelId);
    void employed?.scope.stop(new Error('the channel was removed'));
  }

  #trim(channelId: string, scope: Scope): void {
    if (this.#trimming.has(channelId)) return;
    this.#trimming.add(channelId);
    scope.run(
      () => this.#outbox.trim(channelId).finally(() => this.#trimming.delete(channelId)),
      (error) => this.modules.log.warn({ channel: channelId, cause: describe(error) }, 'too much waits to be told'),
    );
  }
}
