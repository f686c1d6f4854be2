// grpc.health.v1: whether a server, and each of its services, can do its work at this moment. Anybody may ask.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthService as HealthDefinition,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../gen/grpc/health/v1/health.js';
import { ContractFault } from './fault.js';
import type { CallContext, Implementation } from './handlers.js';
import type { GrpcListener } from './listener.js';

export { ServingStatus };

/** Anybody may watch, so not all may watch at once. */
const MOST_WATCHERS = 1_000;

/** The name that stands for the whole server. */
const WHOLE_SERVER = '';

export class HealthService {
  readonly #status = new Map<string, ServingStatus>();
  readonly #watchers = new Set<() => void>();

  /** `services`: full names of those that can be asked for by name. All begin as serving. */
  constructor(services: readonly string[] = []) {
    for (const service of [WHOLE_SERVER, ...services]) this.#status.set(service, ServingStatus.SERVING);
  }

  addTo(listener: GrpcListener): void {
    listener.add(HealthDefinition, this.implementation);
  }

  /** `service` by its full name, or WHOLE_SERVER. */
  set(service: string, status: ServingStatus.SERVING | ServingStatus.NOT_SERVING): void {
    this.#status.set(service, status);
    for (const wake of this.#watchers) wake();
  }

  /** Nothing is served from now on: for those who watch, before the server stops. */
  shutDown(): void {
    for (const service of this.#status.keys()) this.#status.set(service, ServingStatus.NOT_SERVING);
    for (const wake of this.#watchers) wake();
  }

  readonly implementation: Implementation<HealthDefinition> = {
    check: async ({ service }) => {
      const status = this.#status.get(service);
      if (status !== undefined) return { status };
      throw new ContractFault('contract.not-found', 'there is no such service', { permanent: true });
    },
    watch: (request, context) => this.#watch(request, context),
  };

  /** Every change that lasts long enough to be sent; what changes back meanwhile is not seen. */
  async *#watch({ service }: HealthCheckRequest, { signal }: CallContext): AsyncGenerator<HealthCheckResponse> {
    if (this.#watchers.size >= MOST_WATCHERS) throw new ContractFault('contract.exhausted', 'too many are watching');
    let wake: () => void = () => {};
    const onChange = () => wake();
    this.#watchers.add(onChange);
    signal.addEventListener('abort', onChange);
    try {
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = this.#status.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
        if (status !== told) {
          told = status;
          yield { status };
        } else {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      }
    } finally {
      this.#watchers.delete(onChange);
      signal.removeEventListener('abort', onChange);
    }
  }
}
