// Checks of single fields of requests. Each fault is api.invalid and begins with the field's name in the contract.
import type { Role } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { State } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { invalid } from '../../contract/status.js';
import { roleFromProto } from '../../identity/spiffe.js';
import { isPrintable } from '../../kernel/text.js';
import { SEVERITIES } from '../alarms/messages.js';
import type { Severity } from '../alarms/records.js';
import type { MachineRole } from '../inventory/records.js';

/** A display name: 1 to 64 characters. */
export function requireName(field: string, name: string): string {
  const length = [...name].length;
  if (length < 1 || length > 64) throw invalid(field, `must have 1 to 64 characters, has ${length}`);
  if (!isPrintable(name)) throw invalid(field, 'must not contain control characters');
  if (name.trim() !== name) throw invalid(field, 'must not begin or end with white space');
  return name;
}

/** A name that may be left out. */
export function optionalName(field: string, name: string): string {
  return name === '' ? name : requireName(field, name);
}

/** What people say about something: at most 512 characters. */
export function requireComment(field: string, text: string): string {
  const length = [...text].length;
  if (length > 512) throw invalid(field, `must have at most 512 characters, has ${length}`);
  if (!isPrintable(text.replaceAll(/[\n\t]/g, ''))) throw invalid(field, 'must not contain control characters');
  return text;
}

export function requireId(field: string, id: string): string {
  if (id === '') throw invalid(field, 'is missing');
  return id;
}

export function requireRange(field: string, n: number, min: number, max: number): number {
  if (!Number.isInteger(n) || n < min || n > max) throw invalid(field, `must be ${min} to ${max}, is ${n}`);
  return n;
}

export function requireMachineRole(role: Role): MachineRole {
  const name = roleFromProto(role);
  if (name !== 'hub' && name !== 'connector') throw invalid('role', 'must be ROLE_HUB or ROLE_CONNECTOR');
  return name;
}

/** The least severity that counts; by default any. */
export function requireSeverity(state: State): Severity {
  const severities: readonly Severity[] = ['warning', 'unknown', 'critical'];
  const found = severities.find((severity) => SEVERITIES[severity] === (state || State.WARNING));
  if (!found) throw invalid('min_severity', 'must be STATE_WARNING, STATE_UNKNOWN or STATE_CRITICAL');
  return found;
}

/** Values of an enumeration, each of which means something. */
export function requireEach<V extends number>(
  field: string,
  values: readonly V[],
  names: Readonly<Record<number, string>>,
) {
  const odd = values.findIndex((value) => value <= 0 || !(value in names));
  if (odd >= 0) throw invalid(`${field}[${odd}]`, `must be one that there is, and not ${values[odd]}`);
  return values;
}

const ADDRESS = /^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?):(\d{1,5})$/;

/** `host:port`, an IPv6 address in brackets. */
export function requireAddress(field: string, address: string): string {
  const port = Number(ADDRESS.exec(address)?.[1]);
  if (!(port >= 1 && port <= 65_535)) throw invalid(field, 'must be host:port');
  return address;
}
