// What `--json` prints: plain fields, enums as words, moments in ISO 8601, spans in milliseconds (`…Ms`). Programs rely
// on these names, so they change only by additions.
import {
  type Customer,
  type LogLedger,
  type Machine,
  type MissingSpan,
  type Reading,
  type Secret,
  SecretProblem,
  type Sensor,
  type Token,
} from '../../client/index.js';
import type { Names } from '../names.js';
import { iso } from './times.js';
import {
  callerWord,
  gapReasonWord,
  machineStateWord,
  missingReasonWord,
  pathWord,
  roleWord,
  routeOf,
  scopeWord,
  secretProblemWord,
  secretStateWord,
  sensorStateWord,
  stateWord,
  tokenKindWord,
  witnessWord,
} from './words.js';

export const plainCustomer = (customer: Customer) => ({
  id: customer.id,
  name: customer.name,
  directAllowed: customer.directAllowed,
  fallbackAfterMs: customer.fallbackAfterMs,
  rawRetentionMs: customer.rawRetentionMs,
  summaryRetentionMs: customer.summaryRetentionMs,
  createdAt: iso(customer.createdAtMs),
});

export const plainMachine = (machine: Machine, names: Names) => ({
  id: machine.id,
  name: machine.name,
  role: roleWord(machine.role),
  customerId: machine.customerId,
  customer: names.customer(machine.customerId),
  state: machineStateWord(machine.state),
  quarantined: machine.quarantined,
  maySleep: machine.maySleep,
  inMaintenance: machine.inMaintenance,
  connectorLost: machine.connectorLost,
  rotating: machine.rotating || undefined,
  route: routeOf(machine, names.machine),
  path: machine.path === 0 ? undefined : pathWord(machine.path),
  connectorId: machine.connectorId || undefined,
  connector: machine.connectorId === '' ? undefined : names.machine(machine.connectorId),
  companionId: machine.companionId || undefined,
  directAllowed: machine.directAllowed,
  lastSeenAt: iso(machine.lastSeenMs),
  enrolledAt: iso(machine.enrolledAtMs),
  certificateExpiresAt: iso(machine.certificateExpiresAtMs),
  queuedReadings: machine.queuedReadings,
  queuedAgeMs: machine.queuedAgeMs,
  clockOffsetMs: machine.clockOffsetMs,
  configVersion: machine.configVersion,
  runningVersion: machine.runningVersion,
  configError: machine.configError || undefined,
  hubCount: machine.hubCount,
  lanAddresses: machine.lanAddresses,
  software: machine.software,
  info: machine.info,
});

export const plainSensor = (sensor: Sensor, names: Names) => ({
  id: sensor.id,
  name: sensor.name,
  number: sensor.number,
  kind: sensor.kind,
  machineId: sensor.machineId,
  machine: names.machine(sensor.machineId),
  intervalMs: sensor.intervalMs,
  timeoutMs: sensor.timeoutMs,
  settings: sensor.settings ?? {},
  thresholds: sensor.thresholds,
  paused: sensor.paused,
  state: sensorStateWord(sensor.state),
  attempts: sensor.attempts,
  attempt: sensor.attempt,
  flapping: sensor.flapping,
  inMaintenance: sensor.inMaintenance,
  configError: sensor.configError || undefined,
});

/** Never what it is: nobody but the hub can read that. */
export const plainSecret = (secret: Secret) => ({
  sensorId: secret.sensorId,
  field: secret.field,
  state: secretStateWord(secret.state),
  problem: secret.problem === SecretProblem.UNSPECIFIED ? undefined : secretProblemWord(secret.problem),
  version: secret.version || undefined,
  target: Object.fromEntries(secret.target.map(({ name, value }) => [name, value])),
  enteredAt: secret.enteredAtMs === 0 ? undefined : iso(secret.enteredAtMs),
  summary: secret.summary,
  required: secret.required,
});

/** Never with the secret: the cloud does not tell it again. */
export const plainToken = (token: Token, names: Names) => ({
  id: token.id,
  name: token.name || undefined,
  kind: tokenKindWord(token.kind),
  machineId: token.machineId || undefined,
  customerId: token.customerId || undefined,
  customer: token.customerId === '' ? undefined : names.customer(token.customerId),
  role: token.role === 0 ? undefined : roleWord(token.role),
  caller: token.caller === 0 ? undefined : callerWord(token.caller),
  createdAt: iso(token.createdAtMs),
  expiresAt: iso(token.expiresAtMs),
  uses: token.uses,
  used: token.used,
  revoked: token.revoked,
  scopes: token.scopes.length === 0 ? undefined : token.scopes.map(scopeWord),
  lastUsedAt: iso(token.lastUsedAtMs),
});

export const plainReading = (reading: Reading, names: Names) => ({
  machineId: reading.machineId,
  machine: names.machine(reading.machineId),
  sensorId: `${reading.machineId}/${reading.sensor}`,
  sensor: names.sensor(reading.machineId, reading.sensor),
  takenAt: iso(reading.takenAtMs),
  state: stateWord(reading.state),
  message: reading.message,
  values: reading.values.map(({ name, unit, value }) => ({ name, unit, value })),
  id: reading.id && {
    log: Buffer.from(reading.id.log).toString('hex'),
    flush: reading.id.flush,
    position: reading.id.position,
  },
});

/** Among readings: a span of time in which some of the hub are missing. `missing` tells it from them. */
export const plainMissing = (span: MissingSpan, names: Names) => ({
  machineId: span.machineId,
  machine: names.machine(span.machineId),
  missing: {
    reason: missingReasonWord(span.reason),
    gapReason: span.gapReason === 0 ? undefined : gapReasonWord(span.gapReason),
    from: iso(span.fromMs),
    until: iso(span.untilMs),
    log: span.log.length === 0 ? undefined : Buffer.from(span.log).toString('hex'),
    firstFlush: span.flushes?.first,
    flushCount: span.flushes?.count,
  },
});

/** What is known of a hub in sums only. */
export const plainExpired = (logs: readonly LogLedger[]) =>
  logs.flatMap(({ log, expired }) =>
    expired.map(({ first, count }) => ({
      log: Buffer.from(log).toString('hex'),
      firstFlush: first,
      flushCount: count,
    })),
  );

/** The known gaps of a hub. */
export const plainGaps = (logs: readonly LogLedger[]) =>
  logs.flatMap(({ log, lost }) =>
    lost.map((gap) => ({
      log: Buffer.from(log).toString('hex'),
      firstFlush: gap.range?.first ?? 0,
      flushCount: gap.range?.count ?? 0,
      readingCount: gap.readingCount === 0 ? undefined : gap.readingCount,
      reason: gapReasonWord(gap.reason),
      witness: witnessWord(gap.witness),
      noticedAt: iso(gap.noticedAtMs),
    })),
  );
