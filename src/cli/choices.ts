// Values of the contract's enums as flags take them: in the words in which they are shown, with hyphens for blanks.
import { AlarmCause, MachineState, Role, SensorState, State } from '../client/index.js';
import { BadValue } from './values.js';

/** By their words. */
export type Choices<T extends number> = { readonly [word: string]: T };

/** Those that machines have. */
export const ROLES: Choices<Role> = { hub: Role.HUB, connector: Role.CONNECTOR };
export const MACHINE_STATES: Choices<MachineState> = choicesOf(MachineState);
export const SENSOR_STATES: Choices<SensorState> = choicesOf(SensorState);
export const ALARM_CAUSES: Choices<AlarmCause> = choicesOf(AlarmCause);
/** From the mildest. */
export const SEVERITIES: Choices<State> = {
  warning: State.WARNING,
  unknown: State.UNKNOWN,
  critical: State.CRITICAL,
};

export const wordsOf = (choices: Choices<number>): string => Object.keys(choices).join(', ');

/** Reads one of these words, also as it is shown elsewhere: `shut down`, `CRITICAL`, `NEVER_SEEN`. */
export const choice =
  <T extends number>(choices: Choices<T>) =>
  (text: string): T => {
    const wanted = text.trim().toLowerCase().replaceAll(/[ _]/g, '-');
    const found = Object.entries(choices).find(([word]) => word === wanted);
    if (!found) throw new BadValue(`it must be one of ${wordsOf(choices)}`);
    return found[1];
  };

/** All but what is never sent. */
function choicesOf<T extends number>(values: { readonly [name: string]: T | string }): Choices<T> {
  const sent = Object.entries(values).filter((entry): entry is [string, T] => Number(entry[1]) > 0);
  return Object.fromEntries(sent.map(([name, value]) => [name.toLowerCase().replaceAll('_', '-'), value]));
}
