// Mutual TLS by mesh identity, over real connections on the loopback interface.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { expect } from 'chai';
import type { MeshAuthority } from '../../../src/identity/authority.js';
import { MeshAuthority as Authority } from '../../../src/identity/authority.js';
import { IdentityFault } from '../../../src/identity/fault.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { checkPeer, clientIdentity, judgePeer, type PeerExpectation } from '../../../src/identity/tls.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { systemRandom } from '../../../src/kernel/random.js';
import {
  CLOUD,
  CONNECTOR,
  CUSTOMER,
  HUB,
  MACHINE,
  MESH,
  type Member,
  member,
  OTHER_CUSTOMER,
  OTHER_MACHINE,
} from './fixtures.js';

const real = { clock: systemClock, random: systemRandom };

describe('mutual TLS', () => {
  let authority: MeshAuthority;
  let hub: Member;

  before(async () => {
    authority = await Authority.create(MESH, real);
    hub = await member(authority, HUB);
  });

  /** What the hub says of a server that presents this member; `connected` when it is content. */
  async function dial(server: Member, of: MeshAuthority, expected: PeerExpectation): Promise<string> {
    const listener = createServer({
      ...clientIdentity(server.certificate, server.key, of.bundle),
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    });
    const sockets = new Set<TLSSocket>();
    listener.on('secureConnection', (socket) => sockets.add(socket.on('error', () => undefined)));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const { port } = listener.address() as AddressInfo;
    const identity = clientIdentity(hub.certificate, hub.key, authority.bundle);
    const socket = connect({ ...identity, host: '127.0.0.1', port, checkServerIdentity: checkPeer(expected) });
    try {
      await once(socket, 'secureConnect');
      return 'connected';
    } catch (thrown) {
      return thrown instanceof IdentityFault ? thrown.code : String((thrown as NodeJS.ErrnoException).code);
    } finally {
      socket.destroy();
      for (const open of sockets) open.destroy();
      listener.close();
      await once(listener, 'close');
    }
  }

  it('knows a cloud by its identity, whatever its host name', async () => {
    const cloud = await member(authority, CLOUD);
    expect(await dial(cloud, authority, { mesh: MESH, role: 'cloud' })).to.equal('connected');
    expect(await dial(cloud, authority, { mesh: MESH, role: 'connector' })).to.equal('identity.wrong-role');
    expect(await dial(cloud, authority, { mesh: 'other.example', role: 'cloud' })).to.equal('identity.wrong-party');
  });

  it("knows its customer's connectors and no others", async () => {
    const connector = await member(authority, CONNECTOR);
    const expected = { mesh: MESH, role: 'connector', customerId: CUSTOMER } as const;
    expect(await dial(connector, authority, expected)).to.equal('connected');
    const strange = await member(authority, { ...CONNECTOR, customerId: OTHER_CUSTOMER });
    expect(await dial(strange, authority, expected)).to.equal('identity.wrong-party');
    expect(await dial(hub, authority, expected), 'a hub may not even serve').to.not.equal('connected');
    const isRevoked = (keyId: Buffer) => keyId.equals(connector.key.publicKey.keyId);
    expect(await dial(connector, authority, { ...expected, isRevoked })).to.equal('identity.revoked');
    expect(await dial(connector, authority, { ...expected, machineId: MACHINE })).to.equal('identity.wrong-party');
    expect(await dial(connector, authority, { ...expected, machineId: OTHER_MACHINE })).to.equal('connected');
  });

  it('does not connect to what another authority vouches for', async () => {
    const stranger = await Authority.create(MESH, real);
    const cloud = await member(stranger, CLOUD);
    const outcome = await dial(cloud, stranger, { mesh: MESH, role: 'cloud' });
    expect(outcome).to.be.oneOf(['SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE']);
  });

  it('judges certificates that it gets otherwise by the same rules', async () => {
    const cloud = await member(authority, CLOUD);
    expect(judgePeer(cloud.certificate, { mesh: MESH, role: 'cloud' })).to.equal(undefined);
    expect(judgePeer(hub.certificate, { mesh: MESH, role: 'cloud' })?.code).to.equal('identity.wrong-role');
  });

  it('presents no certificate that is not for its key', () => {
    expect(() => clientIdentity(hub.certificate, SigningKey.generate(), authority.bundle)).to.throw(IdentityFault);
  });
});
