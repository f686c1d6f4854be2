// A cloud for tests of its clients: the real edge over real TLS, with canned answers behind it and a record of what was
// asked. It changes nothing and checks nothing: that is the real cloud's business.
import { Caller } from '../../../gen/occmesh/access/v1/access.js';
import { Role } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import {
  Alarm,
  AlarmCause,
  AlarmServiceService,
  Channel,
  type CreateChannelRequest,
  type Event,
  EventServiceService,
  Maintenance,
  MaintenanceServiceService,
  NotificationServiceService,
} from '../../../gen/occmesh/events/v1/events.js';
import {
  Customer,
  CustomerServiceService,
  type ListMachinesRequest,
  Machine,
  MachineServiceService,
  MachineState,
  Sensor,
  SensorServiceService,
  Token,
  TokenKind,
  TokenServiceService,
} from '../../../gen/occmesh/inventory/v1/inventory.js';
import { Outcome, Path, type TargetPart } from '../../../gen/occmesh/link/v1/link.js';
import { OperationsServiceService } from '../../../gen/occmesh/operations/v1/operations.js';
import {
  AggregateReadingsResponse,
  LogLedger,
  type MissingSpan,
  Reading,
  ReadingServiceService,
} from '../../../gen/occmesh/readings/v1/readings.js';
import {
  type PutSecretRequest,
  Secret,
  SecretServiceService,
  SecretState,
} from '../../../gen/occmesh/secrets/v1/secrets.js';
import { GapReason, State, Witness } from '../../../gen/occmesh/telemetry/v1/telemetry.js';
import { ANONYMOUS, type Principal } from '../../../src/contract/callers.js';
import { loadDescriptors } from '../../../src/contract/descriptors.js';
import { ApiFault } from '../../../src/contract/fault.js';
import type { CallContext } from '../../../src/contract/handlers.js';
import { GrpcListener } from '../../../src/contract/listener.js';
import { MeshAuthority } from '../../../src/identity/authority.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { SealingKeyPair, signSealingKey } from '../../../src/identity/sealing-keys.js';
import type { MeshRole } from '../../../src/identity/spiffe.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { milliseconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { systemRandom } from '../../../src/kernel/random.js';
import type { Scope, Stoppable } from '../../../src/kernel/scope.js';

/** The moment at which everything here was written. */
export const NOW = Date.UTC(2026, 0, 1, 12);
const RETENTION = { rawRetentionMs: 30 * 86_400_000, summaryRetentionMs: 400 * 86_400_000 };
export const API_TOKEN = 'occ-api.of-these-tests';

export const id = (n: number): string => `0198b000-0000-7000-8000-${String(n).padStart(12, '0')}`;
export const ACME = id(1);
export const BIRCH = id(2);
export const GATEWAY = id(11);
export const GATEWAY_HUB = id(12);
export const PC = id(13);
export const LAPTOP = id(14);
export const OTHER_PC = id(15);
export const ALARM = '0198b000-0000-7000-8000-00000000aaaa';
export const LOST_ALARM = '0198b000-0000-7000-8000-00000000aabb';
export const OLD_ALARM = '0198b111-0000-7000-8000-00000000cccc';

const machine = (content: Partial<Machine>): Machine =>
  Machine.fromPartial({
    role: Role.HUB,
    state: MachineState.ONLINE,
    lastSeenMs: NOW - 3_000,
    enrolledAtMs: NOW - 86_400_000,
    certificateExpiresAtMs: NOW + 86_400_000,
    software: 'occ-mesh/0.1.0',
    info: { hostname: 'host', os: 'linux', osVersion: '6', arch: 'x64', fingerprint: '', software: 'occ-mesh/0.1.0' },
    ...content,
  });

const reading = (machineId: string, sensor: number, content: Partial<Reading>): Reading =>
  Reading.fromPartial({
    machineId,
    sensor,
    takenAtMs: NOW - 12_000,
    state: State.OK,
    id: { log: Buffer.alloc(16, 7), flush: 4, position: sensor },
    ...content,
  });

/** What the fake cloud knows; tests change it as they need it. */
export function content() {
  const sensor = (machineId: string, number: number, name: string, kind: string, more: Partial<Sensor> = {}): Sensor =>
    Sensor.fromPartial({
      id: `${machineId}/${number}`,
      machineId,
      number,
      name,
      kind,
      intervalMs: 60_000,
      timeoutMs: 10_000,
      settings: {},
      ...more,
    });
  const usage = { metric: 'usage', warning: '90', critical: '98' };
  return {
    software: 'occ-mesh/0.1.0',
    customers: [
      { id: ACME, name: 'Acme', directAllowed: true, fallbackAfterMs: 300_000, createdAtMs: NOW - 1_000, ...RETENTION },
      { id: BIRCH, name: 'Birch & Co', directAllowed: false, fallbackAfterMs: 60_000, createdAtMs: NOW, ...RETENTION },
    ].map((customer) => Customer.fromPartial(customer)),
    machines: [
      machine({
        id: GATEWAY,
        customerId: ACME,
        name: 'gw',
        role: Role.CONNECTOR,
        hubCount: 2,
        companionId: GATEWAY_HUB,
      }),
      machine({
        id: GATEWAY_HUB,
        customerId: ACME,
        name: 'gw-hub',
        path: Path.CONNECTOR,
        connectorId: GATEWAY,
        companionId: GATEWAY,
      }),
      machine({ id: PC, customerId: ACME, name: 'pc', path: Path.DIRECT, queuedReadings: 42, queuedAgeMs: 90_000 }),
      machine({
        id: LAPTOP,
        customerId: ACME,
        name: 'laptop',
        state: MachineState.SHUT_DOWN,
        lastSeenMs: NOW - 7_200_000,
      }),
      machine({ id: OTHER_PC, customerId: BIRCH, name: 'pc', state: MachineState.NEVER_SEEN, lastSeenMs: 0 }),
    ],
    sensors: [
      sensor(GATEWAY_HUB, 1, 'CPU', 'cpu', { thresholds: [usage] }),
      sensor(PC, 1, 'CPU', 'cpu', { thresholds: [usage] }),
      sensor(PC, 2, 'Shop', 'http', { settings: { url: 'https://shop.example/' }, configError: 'no such host' }),
      sensor(LAPTOP, 1, 'Disks', 'disk', { paused: true }),
    ],
    tokens: [
      Token.fromPartial({
        id: id(91),
        kind: TokenKind.ENROLLMENT,
        customerId: ACME,
        role: Role.HUB,
        name: 'new office',
        createdAtMs: NOW,
        expiresAtMs: NOW + 3_600_000,
        uses: 5,
        used: 2,
      }),
      Token.fromPartial({ id: id(92), kind: TokenKind.API, caller: Caller.OPERATOR, createdAtMs: NOW, revoked: true }),
    ],
    readings: [
      reading(GATEWAY_HUB, 1, { values: [{ name: 'usage', unit: '%', value: 12.5 }] }),
      reading(PC, 1, {
        state: State.CRITICAL,
        message: 'usage 99 % is over 98',
        values: [{ name: 'usage', unit: '%', value: 99 }],
      }),
    ],
    missing: [] as MissingSpan[],
    buckets: [
      AggregateReadingsResponse.fromPartial({
        machineId: PC,
        sensor: 1,
        content: {
          $case: 'states',
          value: { buckets: [0, 2], counts: [2, 1], worst: [State.CRITICAL, State.OK] },
        },
      }),
      AggregateReadingsResponse.fromPartial({
        machineId: PC,
        sensor: 1,
        content: {
          $case: 'metric',
          value: {
            ...{ name: 'usage', unit: '%', buckets: [0, 2], counts: [2, 1] },
            ...{ minimums: [10, 7], maximums: [99, 7], sums: [109, 7], lasts: [10, 7] },
          },
        },
      }),
    ],
    ledgers: new Map([
      [
        PC,
        [
          LogLedger.fromPartial({
            log: Buffer.alloc(16, 9),
            readingCount: 1_000,
            announcedNext: 80,
            expired: [
              { first: 0, count: 10 },
              { first: 13, count: 7 },
            ],
            lost: [
              {
                range: { first: 10, count: 3 },
                reason: GapReason.LOG_FULL,
                witness: Witness.HUB,
                noticedAtMs: NOW - 3_600_000,
                readingCount: 17,
              },
            ],
          }),
        ],
      ],
    ]),
    alarms: [
      Alarm.fromPartial({
        ...{ id: ALARM, customerId: ACME, machineId: PC, sensorId: `${PC}/1`, cause: AlarmCause.SENSOR },
        ...{ severity: State.CRITICAL, message: 'usage 99 % is over 98' },
        ...{ raisedAtMs: NOW - 600_000, changedAtMs: NOW - 300_000, silencedUntilMs: NOW + 3_600_000 },
        acknowledgement: { by: 'Eve (1)', atMs: NOW - 60_000, comment: 'on my way' },
      }),
      Alarm.fromPartial({
        ...{ id: LOST_ALARM, customerId: ACME, machineId: GATEWAY, cause: AlarmCause.LOST, unreachableHubs: 2 },
        ...{
          severity: State.CRITICAL,
          message: 'no sign of life',
          raisedAtMs: NOW - 60_000,
          changedAtMs: NOW - 60_000,
        },
      }),
      Alarm.fromPartial({
        ...{ id: OLD_ALARM, customerId: BIRCH, machineId: OTHER_PC, cause: AlarmCause.QUARANTINED },
        ...{ severity: State.CRITICAL, raisedAtMs: NOW - 7_200_000, changedAtMs: NOW, closedAtMs: NOW - 3_600_000 },
      }),
    ],
    maintenances: [
      Maintenance.fromPartial({
        ...{ id: id(51), customerId: ACME, machineId: GATEWAY, comment: 'new disks', active: true },
        ...{ fromMs: NOW - 600_000, untilMs: NOW + 3_000_000 },
      }),
      Maintenance.fromPartial({
        ...{ id: id(52), customerId: BIRCH, fromMs: NOW },
        schedule: { cron: '0 3 * * 0', timeZone: 'Europe/Berlin', durationMs: 7_200_000 },
      }),
    ],
    channels: [
      Channel.fromPartial({
        ...{ id: id(61), customerId: ACME, name: 'desk', minSeverity: State.WARNING, deferMs: 30_000 },
        ...{ way: { $case: 'webhook', value: { url: 'https://hook.example/' } }, waiting: 3, lastError: 'no answer' },
      }),
      Channel.fromPartial({
        ...{ id: id(62), name: 'night', minSeverity: State.CRITICAL, deferMs: 0 },
        way: { $case: 'email', value: { to: ['a@b.example', 'c@d.example'] } },
      }),
    ],
    /** In the order of their positions. */
    events: [] as Event[],
    /** How many events or readings a watch brings before it breaks. */
    breaksAfter: Number.POSITIVE_INFINITY,
    channelKey: 'ab'.repeat(32),
    trialError: '',
    enrollmentText: 'occ1.secret-enrolment-token',
    apiText: 'secret-api-token',
    run: { outcome: Outcome.DONE, message: 'usage 99 %', state: State.CRITICAL },
  };
}

export type Content = ReturnType<typeof content>;

/** One call as the cloud saw it. */
export interface SeenCall {
  readonly method: string;
  readonly request: unknown;
}

export class FakeCloud implements Stoppable {
  readonly calls: SeenCall[] = [];
  /** Thrown by the next call, once. */
  failNext: Error | undefined;
  /** Thrown by the next call of a method, once. */
  readonly failing = new Map<string, Error>();

  private constructor(
    readonly content: Content,
    readonly ca: string,
    private readonly listener: GrpcListener,
  ) {}

  get address(): string {
    return `127.0.0.1:${this.listener.address.port}`;
  }

  /** The hub `PC`, to which secrets are sealed. Another key in `shownKey` is one that it has not signed for. */
  readonly hub: { key: SigningKey; sealing: SealingKeyPair; certificate: Uint8Array } = {
    key: SigningKey.generate(),
    sealing: SealingKeyPair.generate(),
    certificate: new Uint8Array(0),
  };
  shownKey: Buffer = this.hub.sealing.publicKey;
  target: TargetPart[] = [
    { name: 'host', value: 'db.example' },
    { name: 'user', value: 'monitor' },
  ];
  secretVersion = 7;

  /** What was asked of a method, oldest first, without what tells a repetition from a new request. */
  asked(method: string): unknown[] {
    return this.calls
      .filter((call) => call.method === method)
      .map(({ request }) => {
        const { requestId: _, ...asked } = request as { requestId?: string };
        return asked;
      });
  }

  /** The ids of all requests that can be repeated. */
  get requestIds(): string[] {
    return this.calls.flatMap(({ request }) => (request as { requestId?: string }).requestId ?? []);
  }

  /** `role`: whose certificate the server shows. */
  static async start(scope: Scope, role: MeshRole = 'cloud'): Promise<FakeCloud> {
    const authority = await MeshAuthority.create('test', { clock: systemClock, random: systemRandom });
    const key = SigningKey.generate();
    const customerId = role === 'cloud' ? '' : ACME;
    const { pem } = await authority.issue({
      identity: { mesh: 'test', customerId, role, machineId: id(99) },
      publicKey: key.publicKey,
    });
    const authenticate = ({ bearer }: { bearer?: string }): Principal =>
      bearer === API_TOKEN ? { kind: 'user', caller: Caller.OPERATOR, tokenId: id(92) } : ANONYMOUS;
    const ca = authority.bundle.pems.join('');
    const listener = new GrpcListener(
      {
        host: '127.0.0.1',
        port: 0,
        key: key.toPem(),
        cert: pem,
        ca,
        access: { rules: loadDescriptors().accessRules(), authenticate },
        grace: milliseconds(50),
      },
      { clock: systemClock, log: silentLogger, random: systemRandom },
    );
    const cloud = new FakeCloud(content(), ca, listener);
    const identity = { mesh: 'test', customerId: ACME, role: 'hub', machineId: PC } as const;
    cloud.hub.certificate = (await authority.issue({ identity, publicKey: cloud.hub.key.publicKey })).der;
    cloud.#serve();
    await scope.own(listener).start();
    return cloud;
  }

  stop(): Promise<void> {
    return this.listener.stop();
  }

  /** Notes the call, and fails if it is to. */
  #seen(method: string, request: unknown): void {
    this.calls.push({ method, request });
    const failure = this.failNext ?? this.failing.get(method);
    this.failNext = undefined;
    this.failing.delete(method);
    if (failure) throw failure;
  }

  /** A method that answers with what `answer` finds. */
  #answer<Q, R>(method: string, answer: (request: Q) => R): (request: Q) => Promise<R> {
    return async (request) => {
      this.#seen(method, request);
      return answer(request);
    };
  }

  #serve(): void {
    const { content: known, listener } = this;
    const one = <T extends { readonly id: string }>(all: readonly T[], wanted: string): T => {
      const found = all.find((thing) => thing.id === wanted);
      if (!found) throw new ApiFault('api.not-found', 'no such thing');
      return found;
    };
    listener.add(CustomerServiceService, {
      createCustomer: this.#answer('createCustomer', ({ name }: { name: string }) =>
        Customer.fromPartial({ id: id(3), name }),
      ),
      // Two pages, to see that clients ask for the second.
      listCustomers: this.#answer('listCustomers', ({ pageToken }: { pageToken: string }) => ({
        customers: pageToken === '' ? known.customers.slice(0, 1) : known.customers.slice(1),
        nextPageToken: pageToken === '' && known.customers.length > 1 ? 'second' : '',
      })),
      updateCustomer: this.#answer('updateCustomer', ({ id: wanted }: { id: string }) => one(known.customers, wanted)),
    });
    listener.add(OperationsServiceService, {
      getCloud: this.#answer('getCloud', () => ({ software: known.software, clockMs: NOW })),
      createBackup: async function* () {},
    });
    const machineOf = ({ id: wanted }: { id: string }) => one(known.machines, wanted);
    listener.add(MachineServiceService, {
      listMachines: this.#answer('listMachines', (request: ListMachinesRequest) => ({
        machines: known.machines.filter(
          ({ customerId, state, role }) =>
            (request.customerId === '' || customerId === request.customerId) &&
            (request.role === Role.UNSPECIFIED || role === request.role) &&
            (request.includeRetired || state !== MachineState.RETIRED),
        ),
        nextPageToken: '',
      })),
      updateMachine: this.#answer('updateMachine', machineOf),
      retireMachine: this.#answer('retireMachine', machineOf),
      releaseMachine: this.#answer('releaseMachine', machineOf),
      rotateSealingKey: this.#answer('rotateSealingKey', machineOf),
    });
    const sensorOf = ({ id: wanted }: { id: string }) => one(known.sensors, wanted);
    listener.add(SensorServiceService, {
      listSensorKinds: this.#answer('listSensorKinds', () => ({ kinds: [] })),
      createSensor: this.#answer('createSensor', (request: object) =>
        Sensor.fromPartial({ ...request, id: `${PC}/9`, name: 'new' }),
      ),
      listSensors: this.#answer('listSensors', ({ machineId }: { machineId: string }) => ({
        sensors: known.sensors.filter((sensor) => machineId === '' || sensor.machineId === machineId),
        nextPageToken: '',
      })),
      updateSensor: this.#answer('updateSensor', sensorOf),
      deleteSensor: this.#answer('deleteSensor', () => ({})),
      runSensor: async (request: { id: string }, { signal }: CallContext) => {
        this.#seen('runSensor', request);
        if (request.id === 'stuck') await aborted(signal);
        return known.run;
      },
    });
    const secretOf = (request: { sensorId: string; field: string }, state = SecretState.PENDING) =>
      Secret.fromPartial({
        ...request,
        state,
        version: this.secretVersion,
        target: this.target,
        enteredAtMs: NOW - 60_000,
      });
    listener.add(SecretServiceService, {
      getSealingContext: this.#answer(
        'getSealingContext',
        ({ sensorId, field }: { sensorId: string; field: string }) => ({
          customerId: ACME,
          machineId: PC,
          sensor: Number(sensorId.split('/')[1]),
          field,
          version: this.secretVersion,
          target: this.target,
          certificate: this.hub.certificate,
          sealingKey: this.shownKey,
          sealingKeySignature: signSealingKey(this.hub.key, this.hub.sealing.publicKey),
        }),
      ),
      putSecret: this.#answer('putSecret', ({ sensorId, field }: PutSecretRequest) => secretOf({ sensorId, field })),
      listSecrets: this.#answer('listSecrets', () => ({
        secrets: [
          secretOf({ sensorId: `${PC}/1`, field: 'password' }, SecretState.TARGET_CHANGED),
          secretOf({ sensorId: `${PC}/1`, field: 'token' }, SecretState.READY),
        ],
        nextPageToken: '',
      })),
      deleteSecret: this.#answer('deleteSecret', (request: { sensorId: string; field: string }) =>
        Secret.fromPartial({ ...request, state: SecretState.NOT_ENTERED }),
      ),
    });
    listener.add(TokenServiceService, {
      createEnrollmentToken: this.#answer('createEnrollmentToken', () => ({
        token: known.tokens[0],
        text: known.enrollmentText,
      })),
      createApiToken: this.#answer('createApiToken', () => ({ token: known.tokens[1], text: known.apiText })),
      listTokens: this.#answer('listTokens', () => ({ tokens: known.tokens, nextPageToken: '' })),
      revokeToken: this.#answer('revokeToken', ({ id: wanted }: { id: string }) => one(known.tokens, wanted)),
    });
    const alarmOf = ({ id: wanted }: { id: string }) => one(known.alarms, wanted);
    listener.add(AlarmServiceService, {
      listAlarms: this.#answer('listAlarms', (request: { customerId: string; includeClosed: boolean }) => ({
        alarms: known.alarms.filter(
          ({ customerId, closedAtMs }) =>
            (request.customerId === '' || customerId === request.customerId) &&
            (request.includeClosed || closedAtMs === 0),
        ),
        nextPageToken: '',
      })),
      acknowledgeAlarm: this.#answer('acknowledgeAlarm', alarmOf),
      commentAlarm: this.#answer('commentAlarm', alarmOf),
      silenceAlarm: this.#answer('silenceAlarm', alarmOf),
    });
    listener.add(MaintenanceServiceService, {
      createMaintenance: this.#answer('createMaintenance', (request: object) =>
        Maintenance.fromPartial({ ...request, id: id(53) }),
      ),
      listMaintenances: this.#answer('listMaintenances', () => ({
        maintenances: known.maintenances,
        nextPageToken: '',
      })),
      endMaintenance: this.#answer('endMaintenance', () => ({})),
    });
    listener.add(NotificationServiceService, {
      createChannel: this.#answer('createChannel', ({ deferMs = 30_000, ...request }: CreateChannelRequest) => ({
        channel: Channel.fromPartial({ ...request, deferMs, id: id(63) }),
        key: request.way?.$case === 'webhook' ? known.channelKey : '',
      })),
      listChannels: this.#answer('listChannels', () => ({ channels: known.channels, nextPageToken: '' })),
      deleteChannel: this.#answer('deleteChannel', () => ({})),
      testChannel: this.#answer('testChannel', () => ({ error: known.trialError })),
    });
    listener.add(EventServiceService, {
      watchEvents: (request: { afterPosition?: number | undefined }, context: CallContext) =>
        this.#events(request, context),
      listEvents: this.#answer('listEvents', () => ({ events: [...known.events].reverse(), nextPageToken: '' })),
    });
    listener.add(ReadingServiceService, {
      getLatest: this.#answer('getLatest', () => ({ readings: known.readings, nextPageToken: '' })),
      getLedger: this.#answer('getLedger', ({ machineId }: { machineId: string }) => ({
        logs: known.ledgers.get(machineId) ?? [],
        nextPageToken: '',
      })),
      queryReadings: (request: unknown) => this.#query(request),
      aggregateReadings: (request: unknown) => this.#aggregate(request),
      watchReadings: (request: unknown, context: CallContext) => this.#watch(request, context),
    });
  }

  /** One message per reading, the newest first. */
  async *#query(request: unknown) {
    this.#seen('queryReadings', request);
    if (this.content.missing.length > 0) yield { readings: [], missing: this.content.missing };
    for (const found of [...this.content.readings].reverse()) yield { readings: [found], missing: [] };
  }

  async *#aggregate(request: unknown) {
    this.#seen('aggregateReadings', request);
    const { missing } = this.content;
    if (missing.length > 0)
      yield { machineId: PC, sensor: 0, content: { $case: 'missing', value: { spans: missing } } } as const;
    yield* this.content.buckets;
  }

  /** Events one by one, and then silence until the caller goes. */
  async *#events(request: { afterPosition?: number | undefined }, { signal }: CallContext) {
    this.#seen('watchEvents', request);
    const after = request.afterPosition ?? 0;
    yield { events: [], position: after };
    let left = this.content.breaksAfter;
    for (const event of this.content.events.filter(({ position }) => position > after)) {
      if (left-- === 0) throw new ApiFault('api.unavailable', 'the cloud is being shut down');
      yield { events: [event], position: event.position };
    }
    await aborted(signal);
  }

  /** What there is, and then silence until the caller goes. */
  async *#watch(request: unknown, { signal }: CallContext) {
    this.#seen('watchReadings', request);
    yield { readings: this.content.readings, position: 'p1', missedSinceMs: 0 };
    if (this.content.readings.length >= this.content.breaksAfter) throw new ApiFault('api.unavailable', 'going away');
    await aborted(signal);
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
