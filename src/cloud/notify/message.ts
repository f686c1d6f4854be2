// What goes to a channel in one go.
import type { ChannelRecord, NoticeRecord } from '../alarms/records.js';

export interface Message {
  /** The same in every repetition, as is all of it but names that people have changed meanwhile. */
  readonly id: string;
  /** Of different alarms, oldest first; none in a trial message. */
  readonly notices: readonly NoticeRecord[];
}

/** Names instead of ids; an id that nothing is known of stands for itself. */
export interface AlarmNames {
  customer(id: string): string;
  machine(id: string): string;
  sensor(machineId: string, sensor: number): string;
}

/**
 * Resolves when the receiver has accepted the message, with what was wrong nevertheless; rejects with why it did not.
 * The signal ends the try.
 */
export type Deliver = (channel: ChannelRecord, message: Message, signal: AbortSignal) => Promise<string | undefined>;
