// The contract's enums as words, and their tones.

import {
  AlarmCause,
  Caller,
  GapReason,
  type Machine,
  MachineState,
  MissingReason,
  Outcome,
  Path,
  Role,
  Scope,
  SecretProblem,
  SecretState,
  SensorState,
  State,
  TokenKind,
  Witness,
} from '../../client/index.js';
import { WRONG_CLOCK } from '../../kernel/clock.js';
import type { Tone } from './colour.js';
import { span } from './times.js';

/** `BAD_THING` → `bad thing`; what a newer cloud may send and this program does not know is `unknown`. */
const worded =
  (names: { readonly [value: number]: string | undefined }) =>
  (value: number): string => {
    const name = names[value];
    return name === undefined || name === 'UNSPECIFIED' || name === 'UNRECOGNIZED'
      ? 'unknown'
      : name.toLowerCase().replaceAll('_', ' ');
  };

export const roleWord = worded(Role);
export const machineStateWord = worded(MachineState);
export const outcomeWord = worded(Outcome);
export const tokenKindWord = worded(TokenKind);
export const gapReasonWord = worded(GapReason);
export const missingReasonWord = worded(MissingReason);
export const witnessWord = worded(Witness);
export const pathWord = worded(Path);
export const alarmCauseWord = worded(AlarmCause);
export const sensorStateWord = worded(SensorState);
export const secretStateWord = worded(SecretState);
export const secretProblemWord = worded(SecretProblem);

const CALLERS: { readonly [caller: number]: string | undefined } = {
  [Caller.OPERATOR]: 'operator',
  [Caller.CUSTOMER_ADMIN]: 'admin',
  [Caller.CUSTOMER_READER]: 'reader',
  [Caller.SERVICE]: 'service',
};
/** As `--scope` takes them. */
export const SCOPES = {
  'inventory-read': Scope.INVENTORY_READ,
  'inventory-write': Scope.INVENTORY_WRITE,
  'readings-read': Scope.READINGS_READ,
  'events-read': Scope.EVENTS_READ,
  'events-write': Scope.EVENTS_WRITE,
  'secrets-write': Scope.SECRETS_WRITE,
  'enrollment-write': Scope.ENROLLMENT_WRITE,
} as const;
export const scopeWord = (scope: Scope): string =>
  Object.entries(SCOPES).find(([, known]) => known === scope)?.[0] ?? 'unknown';

/** `1 hub`, `2 hubs`. */
export const many = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

export const callerWord = (caller: Caller): string => CALLERS[caller] ?? 'unknown';

/** In capitals, as everywhere in monitoring. */
export const stateWord = (state: State): string =>
  state === State.UNSPECIFIED ? 'UNKNOWN' : (State[state] ?? 'UNKNOWN');

const STATE_TONES: { readonly [state: number]: Tone | undefined } = {
  [State.OK]: 'good',
  [State.WARNING]: 'warn',
  [State.CRITICAL]: 'bad',
};
export const stateTone = (state: State): Tone => STATE_TONES[state] ?? 'odd';

const MACHINE_TONES: { readonly [state: number]: Tone | undefined } = {
  [MachineState.ONLINE]: 'good',
  [MachineState.LOST]: 'bad',
  [MachineState.UNREACHABLE]: 'warn',
};
export const machineTone = (machine: Machine): Tone =>
  machine.quarantined ? 'odd' : (MACHINE_TONES[machine.state] ?? 'quiet');

/** `clock 4h ahead`; empty when it is right enough. */
const clockOf = ({ clockOffsetMs }: Machine): string =>
  Math.abs(clockOffsetMs) < WRONG_CLOCK
    ? ''
    : `clock ${span(Math.abs(clockOffsetMs))} ${clockOffsetMs > 0 ? 'ahead' : 'behind'}`;

/** How a machine is, in words. */
export const conditionOf = (machine: Machine): string =>
  [
    machineStateWord(machine.state),
    machine.quarantined && 'quarantined',
    machine.rotating && 'replacing its key',
    machine.inMaintenance && 'in maintenance',
    machine.connectorLost && 'connector lost',
    machine.maySleep && machine.state !== MachineState.ASLEEP && 'may sleep',
    clockOf(machine),
  ]
    .filter(Boolean)
    .join(', ');

/**
 * How its data comes: `via <connector>`, `direct`, `cloud` (a connector that is online), or why it does not: `offline`,
 * `shut down`, `never seen`, `unreachable`, `retired`; `unknown` while the cloud, after a start, does not know.
 */
export function routeOf(machine: Machine, nameOf: (machineId: string) => string): string {
  switch (machine.state) {
    case MachineState.ONLINE:
      if (machine.role === Role.CONNECTOR) return 'cloud';
      if (machine.path === Path.DIRECT) return 'direct';
      return `via ${nameOf(machine.connectorId)}`;
    case MachineState.LOST:
      return 'offline';
    default:
      return machineStateWord(machine.state);
  }
}
