// A real listener and real channels on the loopback, for the tests beside this file.
import { Scope as AccessScope, Caller } from '../../gen/occmesh/access/v1/access.js';
import type { AccessOptions } from '../../src/contract/access.js';
import { ANONYMOUS, type Authenticate, type CallCredentials, type Principal } from '../../src/contract/callers.js';
import { GrpcChannel, type GrpcChannelOptions } from '../../src/contract/channel.js';
import { loadDescriptors } from '../../src/contract/descriptors.js';
import { GrpcListener, type ListenerModules, type ListenerOptions } from '../../src/contract/listener.js';
import { systemClock } from '../../src/kernel/clock.js';
import { milliseconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { systemRandom } from '../../src/kernel/random.js';
import { Scope } from '../../src/kernel/scope.js';
import { type TestAuthority, type TestIdentity, testAuthority } from '../support/throwaway-certificates.js';

export interface Pki {
  readonly authority: TestAuthority;
  readonly server: TestIdentity;
  readonly hub: TestIdentity;
  readonly connector: TestIdentity;
}

let pki: Promise<Pki> | undefined;

/** Made once per run. */
export function testPki(): Promise<Pki> {
  pki ??= (async () => {
    const authority = await testAuthority();
    const [server, hub, connector] = await Promise.all(['server', 'hub', 'connector'].map((n) => authority.issue(n)));
    if (!server || !hub || !connector) throw new Error('no certificates');
    return { authority, server, hub, connector };
  })();
  return pki;
}

/** Knows the two machines by their certificates, and tokens that are called like the callers they stand for. */
export function authenticator({ hub, connector }: Pki): Authenticate {
  const machine = (role: 'hub' | 'connector', certificate: Buffer): Principal => ({
    kind: 'machine',
    role,
    machineId: `the ${role}`,
    customerId: 'customer 1',
    certificate,
    keyId: Buffer.alloc(8),
  });
  return ({ certificate, bearer }: CallCredentials) => {
    if (certificate?.equals(hub.der)) return machine('hub', certificate);
    if (certificate?.equals(connector.der)) return machine('connector', certificate);
    if (bearer === 'operator') return { kind: 'user', caller: Caller.OPERATOR, tokenId: 't1' };
    if (bearer === 'admin') return { kind: 'user', caller: Caller.CUSTOMER_ADMIN, customerId: 'c', tokenId: 't2' };
    if (bearer === 'service')
      return {
        kind: 'user',
        caller: Caller.SERVICE,
        scopes: [AccessScope.READINGS_READ],
        customerId: 'c',
        tokenId: 't4',
      };
    if (bearer === 'other-service')
      return {
        kind: 'user',
        caller: Caller.SERVICE,
        scopes: [AccessScope.EVENTS_READ, AccessScope.INVENTORY_WRITE],
        tokenId: 't5',
      };
    if (bearer === 'reader') return { kind: 'user', caller: Caller.CUSTOMER_READER, customerId: 'c', tokenId: 't3' };
    return ANONYMOUS;
  };
}

/** A listener and the channels to it, ended together. */
export class Edge implements AsyncDisposable {
  readonly scope = new Scope();

  private constructor(
    readonly listener: GrpcListener,
    readonly pki: Pki,
  ) {}

  /** Not started: add services, then start(). */
  static async make(
    {
      access,
      ...options
    }: Omit<Partial<ListenerOptions>, 'access'> & { readonly access?: Partial<AccessOptions> } = {},
    modules: Partial<ListenerModules> = {},
  ): Promise<Edge> {
    const pki = await testPki();
    const listener = new GrpcListener(
      {
        host: '127.0.0.1',
        port: 0,
        key: pki.server.key,
        cert: pki.server.cert,
        ca: pki.authority.ca,
        access: {
          rules: loadDescriptors().accessRules(),
          scopes: loadDescriptors().scopes(),
          authenticate: authenticator(pki),
          ...access,
        },
        grace: milliseconds(50),
        ...options,
      },
      { clock: systemClock, log: silentLogger, random: systemRandom, ...modules },
    );
    const edge = new Edge(listener, pki);
    edge.scope.own(listener);
    return edge;
  }

  get port(): number {
    return this.listener.address.port;
  }

  /** `who`: whose certificate the client shows. */
  channel(who?: 'hub' | 'connector', options: Partial<GrpcChannelOptions> = {}): GrpcChannel {
    const own = who === undefined ? {} : { cert: this.pki[who].cert, key: this.pki[who].key };
    const channel = new GrpcChannel(
      { address: `127.0.0.1:${this.port}`, tls: { ca: this.pki.authority.ca, ...own }, ...options },
      { clock: systemClock, log: silentLogger },
    );
    return this.scope.own(channel);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scope.stop();
  }
}
