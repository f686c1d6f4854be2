// The ways of a hub over real TLS: whom it asks for a certificate, and that a retired connector is not a way any more.
import { expect } from 'chai';
import { LinkServiceService } from '../../../gen/occmesh/link/v1/link.js';
import { ANONYMOUS } from '../../../src/contract/callers.js';
import { loadDescriptors } from '../../../src/contract/descriptors.js';
import { GrpcListener } from '../../../src/contract/listener.js';
import type { ConnectorDirectory } from '../../../src/discovery/directory.js';
import type { Member } from '../../../src/hub/member.js';
import { Routes } from '../../../src/hub/routes.js';
import { MeshAuthority } from '../../../src/identity/authority.js';
import type { TrustBundle } from '../../../src/identity/certificates.js';
import { systemClock as clock } from '../../../src/kernel/clock.js';
import { milliseconds } from '../../../src/kernel/duration.js';
import { describe as describeError } from '../../../src/kernel/fault.js';
import { silentLogger as log } from '../../../src/kernel/log.js';
import { systemRandom as random } from '../../../src/kernel/random.js';
import { CONNECTOR, HUB, type Member as Identity, MESH, member } from '../identity/fixtures.js';

describe('hub: routes', () => {
  let hub: Identity;
  let connector: Identity;
  let listener: GrpcListener;
  let trust: TrustBundle;
  let calls = 0;
  before(async () => {
    const authority = await MeshAuthority.create(MESH, { clock, random });
    trust = authority.bundle;
    hub = await member(authority, HUB);
    connector = await member(authority, CONNECTOR);
    // Somebody who took the retired connector home and lets everybody in.
    listener = new GrpcListener(
      {
        ...{ host: '127.0.0.1', port: 0, key: connector.key.toPem(), cert: connector.certificate.pem },
        ...{ ca: trust.pems.join(''), grace: milliseconds(50) },
        access: {
          rules: loadDescriptors().accessRules(),
          authenticate: ({ certificate }) =>
            certificate ? { ...HUB, kind: 'machine', role: 'hub', certificate, keyId: Buffer.alloc(8) } : ANONYMOUS,
        },
      },
      { clock, log, random },
    );
    listener.add(LinkServiceService, {
      link: async () => {
        calls += 1;
      },
    });
    await listener.start();
  });
  after(() => listener.stop());
  beforeEach(() => {
    calls = 0;
  });

  const routes = (options: { directAllowed?: boolean; revoked?: readonly Buffer[] } = {}) => {
    const { directAllowed = true, revoked = [] } = options;
    const hint = { host: '127.0.0.1', port: listener.address.port, source: 'configured' };
    const directory = { known: () => [hint], candidates: async () => [hint] } as unknown as ConnectorDirectory;
    return new Routes(
      { cloud: 'cloud.example:443', directAllowed },
      {
        directory,
        credentials: () => ({ certificate: hub.certificate, key: hub.key, trust }),
        isRevoked: (keyId) => revoked.some((one) => one.equals(keyId)),
        newMember: () => ({}) as Member,
        onUp: () => undefined,
        ...{ clock, random, log },
      },
    );
  };
  /** Why the connector was no way: the one here never is, but how far a hub goes with it differs. */
  const knock = async (revoked: readonly Buffer[]): Promise<string> => {
    const { signal } = new AbortController();
    for await (const route of routes({ revoked }).connectors(signal)) {
      return route.open(signal).then(() => 'it is one', describeError);
    }
    return 'none was known';
  };

  it('do not lead over a connector that was retired, whoever has it now', async () => {
    expect(await knock([connector.certificate.key.keyId])).to.contain('revoked');
    expect(calls).to.equal(0);
    // Another one's key is another matter (control).
    expect(await knock([hub.certificate.key.keyId])).to.not.contain('revoked');
    expect(calls).to.equal(1);
  });

  it('of a renewal lead to the cloud last, and only where that is allowed', async () => {
    const asked = async (directAllowed: boolean) => {
      const roles: string[] = [];
      for await (const { role } of routes({ directAllowed }).carriers()) roles.push(role);
      return roles;
    };
    expect(await asked(true)).to.deep.equal(['connector', 'cloud']);
    expect(await asked(false)).to.deep.equal(['connector']);
  });
});
