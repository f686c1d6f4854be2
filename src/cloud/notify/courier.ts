// Brings the messages of one channel to their receiver, one at a time, each until it is accepted or given up. What other
// channels do is no concern of it.
import { type Clock, sleep } from '../../kernel/clock.js';
import { type Duration, milliseconds, minutes, seconds } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import type { Logger } from '../../kernel/log.js';
import type { Random } from '../../kernel/random.js';
import { type BackoffOptions, backoff } from '../../kernel/retry.js';
import { plainLine } from '../../kernel/text.js';
import type { Deliver, Message } from './message.js';
import type { Outbox } from './outbox.js';

export const RESEND: BackoffOptions = { first: seconds(5), factor: 2, cap: minutes(15) };
const REWRITE: BackoffOptions = { first: seconds(1), factor: 2, cap: minutes(1) };
/** The wall clock may jump: it is looked at again after so long. */
const LONGEST_PAUSE = minutes(1);
const LONGEST_ERROR = 256;

export interface CourierModules {
  readonly outbox: Outbox;
  readonly deliver: Deliver;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class Courier {
  #wake: () => void = () => undefined;

  constructor(
    private readonly channelId: string,
    private readonly modules: CourierModules,
  ) {}

  /** There may be something new to tell. */
  wake(): void {
    this.#wake();
  }

  /** Until the signal is aborted, whose reason it rejects with, or the channel is gone. */
  async run(signal: AbortSignal): Promise<void> {
    const { outbox, clock, random } = this.modules;
    let waits = backoff(RESEND, random);
    while (outbox.channel(this.channelId)) {
      signal.throwIfAborted();
      const dueAt = outbox.dueAt(this.channelId);
      const wait = dueAt === undefined ? undefined : dueAt - clock.now();
      if (wait === undefined || wait > 0) {
        await this.#pause(wait, signal);
        continue;
      }
      const message = await this.#durably(() => outbox.next(this.channelId), signal);
      if (!message) continue;
      signal.throwIfAborted();
      if (await this.#bring(message, signal)) waits = backoff(RESEND, random);
      else await sleep(clock, waits.next().value, signal);
    }
  }

  /** Whether it was accepted. */
  async #bring(message: Message, signal: AbortSignal): Promise<boolean> {
    const { outbox, deliver } = this.modules;
    const { channelId } = this;
    const channel = outbox.channel(channelId);
    if (!channel) return true;
    try {
      const complaint = await deliver(channel, message, signal);
      await this.#durably(() => outbox.accepted(channelId, message, complaint && brief(complaint)), signal);
      return true;
    } catch (thrown) {
      signal.throwIfAborted();
      await this.#durably(() => outbox.failed(channelId, message, brief(describe(thrown))), signal);
      return false;
    }
  }

  /** What has been accepted is not sent again because the store cannot be written. */
  async #durably<T>(write: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, random, log } = this.modules;
    const waits = backoff(REWRITE, random);
    for (;;) {
      try {
        return await write();
      } catch (thrown) {
        const facts = { channel: this.channelId, cause: describe(thrown) };
        log.error(facts, 'what became of a notification could not be written down; tried again');
        await sleep(clock, waits.next().value, signal);
      }
    }
  }

  /** Until then (undefined: for ever), or until something changes. */
  #pause(wait: number | undefined, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        timer?.disarm();
        signal.removeEventListener('abort', end);
        this.#wake = () => undefined;
        resolve();
      };
      const span = wait === undefined ? undefined : (Math.min(wait, LONGEST_PAUSE) as Duration);
      const timer = span === undefined ? undefined : this.modules.clock.after(milliseconds(span), end);
      this.#wake = end;
      signal.addEventListener('abort', end, { once: true });
    });
  }
}

/** Receivers may say anything, and it is shown to people. */
const brief = (text: string): string => plainLine(text, LONGEST_ERROR) || 'it failed and did not say why';
