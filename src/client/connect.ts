// A connection to the cloud for services and the command line.
import { setMaxListeners } from 'node:events';
import {
  AlarmServiceService,
  EventServiceService,
  MaintenanceServiceService,
  NotificationServiceService,
} from '../../gen/occmesh/events/v1/events.js';
import {
  CustomerServiceService,
  MachineServiceService,
  SensorServiceService,
  TokenServiceService,
} from '../../gen/occmesh/inventory/v1/inventory.js';
import { OperationsServiceService } from '../../gen/occmesh/operations/v1/operations.js';
import { ReadingServiceService } from '../../gen/occmesh/readings/v1/readings.js';
import type { Secret } from '../../gen/occmesh/secrets/v1/secrets.js';
import { SecretServiceService } from '../../gen/occmesh/secrets/v1/secrets.js';
import { GrpcChannel } from '../contract/channel.js';
import { type Clock, systemClock } from '../kernel/clock.js';
import { defined } from '../kernel/defined.js';
import { type Duration, seconds } from '../kernel/duration.js';
import { type Logger, silentLogger } from '../kernel/log.js';
import { type Random, systemRandom } from '../kernel/random.js';
import { checkCloud, trustOf } from './cloud-trust.js';
import { type ServiceCalls, serviceCalls } from './service-calls.js';
import { type NewSecret, setSecret } from './set-secret.js';

export interface ConnectOptions {
  /** Where the cloud is: host:port. */
  readonly cloud: string;
  /** The mesh CA, PEM: nobody else is believed, and host names do not matter. */
  readonly ca: string;
  /** An API token, or where the current one comes from: asked before every call. */
  readonly token: string | (() => string | undefined);
  /** `http://[user:password@]host:port`. Default: none; the environment is never looked at. */
  readonly proxy?: string;
  /** How long a call with one answer may take, in milliseconds. Default 15,000. Streams have no limit. */
  readonly within?: number;
  /** Cancels every call. */
  readonly signal?: AbortSignal;
  /**
   * How often a call with one answer is made at most, when the cloud cannot be reached or asks to come back: those that
   * change nothing, and those that have a requestId, which they get here. Default 4; 1: nothing is retried.
   */
  readonly tries?: number;
}

/** For tests and for programs that keep their own log. */
export interface ConnectModules {
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly random?: Random;
}

/** Failures are ContractFaults: `code` to branch on, `message` and `advice` for people, `permanent` for retries. */
export interface MeshClient extends AsyncDisposable {
  readonly customers: ServiceCalls<typeof CustomerServiceService>;
  readonly machines: ServiceCalls<typeof MachineServiceService>;
  readonly sensors: ServiceCalls<typeof SensorServiceService>;
  /** To enter a secret use `setSecret`. */
  readonly secrets: ServiceCalls<typeof SecretServiceService>;
  readonly tokens: ServiceCalls<typeof TokenServiceService>;
  readonly readings: ServiceCalls<typeof ReadingServiceService>;
  readonly alarms: ServiceCalls<typeof AlarmServiceService>;
  readonly maintenance: ServiceCalls<typeof MaintenanceServiceService>;
  readonly notifications: ServiceCalls<typeof NotificationServiceService>;
  readonly events: ServiceCalls<typeof EventServiceService>;
  readonly operations: ServiceCalls<typeof OperationsServiceService>;
  /**
   * Enters a secret of a sensor: sealed here, to the key of the hub, which is verified up to the mesh CA. What leaves this
   * process is ciphertext. Faults: also identity.*, when somebody shows another key than the hub's.
   */
  setSecret(secret: NewSecret): Promise<Secret>;
  /** Ends all calls and the connection. */
  close(): Promise<void>;
}

const WITHIN = seconds(15);
const TRIES = 4;

/**
 * A client of the cloud. It connects at the first call, and again at the next one after a loss. Calls are retried as `tries`
 * says, within the time that the call has; streams are not. A change that has no `requestId` gets one; whoever calls once
 * more himself gives his own, the same each time.
 * Faults: contract.bad-setting (the address, the proxy), identity.malformed (the CA).
 */
export function connect(options: ConnectOptions, modules: ConnectModules = {}): MeshClient {
  const { clock = systemClock, log = silentLogger, random = systemRandom } = modules;
  const { cloud, ca, proxy, token } = options;
  const closing = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, closing.signal]) : closing.signal;
  // Every call listens to it, and there may be many at a time.
  setMaxListeners(0, signal);
  const trust = trustOf(ca);
  const channel = new GrpcChannel(
    {
      address: cloud,
      tls: { ca: trust.pems, checkServerIdentity: checkCloud(trust) },
      ...defined({ proxy }),
    },
    { clock, log },
  );
  const settings = {
    channel,
    token: typeof token === 'string' ? () => token : token,
    within: (options.within as Duration | undefined) ?? WITHIN,
    signal,
    newRequestId: () => random.bytes(16).toString('hex'),
    retries: { clock, random, tries: options.tries ?? TRIES },
  };
  const close = () => {
    closing.abort();
    return channel.stop();
  };
  const secrets = serviceCalls(SecretServiceService, settings);
  return {
    customers: serviceCalls(CustomerServiceService, settings),
    machines: serviceCalls(MachineServiceService, settings),
    sensors: serviceCalls(SensorServiceService, settings),
    secrets,
    tokens: serviceCalls(TokenServiceService, settings),
    readings: serviceCalls(ReadingServiceService, settings),
    alarms: serviceCalls(AlarmServiceService, settings),
    maintenance: serviceCalls(MaintenanceServiceService, settings),
    notifications: serviceCalls(NotificationServiceService, settings),
    events: serviceCalls(EventServiceService, settings),
    operations: serviceCalls(OperationsServiceService, settings),
    setSecret: (secret) => setSecret(secret, { secrets, trust, clock }),
    close,
    [Symbol.asyncDispose]: close,
  };
}
