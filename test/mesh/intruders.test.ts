// Somebody in the customer's network pretends to be a connector: without a certificate of the mesh it learns nothing
// and captures nobody, and with one that it has stolen it still sees ciphertext only. Real processes, real multicast.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { EnrollmentServiceService, EnrolRequest, type Sealed } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { GrpcChannel } from '../../src/contract/channel.js';
import { loadDescriptors } from '../../src/contract/descriptors.js';
import { ContractFault } from '../../src/contract/fault.js';
import { GrpcListener } from '../../src/contract/listener.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { MeshAuthority } from '../../src/identity/authority.js';
import { SigningKey } from '../../src/identity/keys.js';
import { judgeServer } from '../../src/identity/tls.js';
import { parseEnrollmentToken } from '../../src/identity/token-text.js';
import { uuidText } from '../../src/identity/uuid.js';
import { minutes, seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import { systemRandom, uuid7 } from '../../src/kernel/random.js';
import { enrolConnector } from '../support/actors.js';
import { clock, endMesh, expectExactlyOnce, startMesh, untilPath, untilReports } from '../support/mesh-site.js';
import { Rogue, type RogueOptions } from '../support/rogue.js';
import { testAuthority } from '../support/throwaway-certificates.js';

const modules = { clock, random: systemRandom, log: silentLogger };

describe('intruders', () => {
  let mesh: LocalMesh;
  before(async () => {
    mesh = await startMesh({ fallbackAfter: minutes(10) });
    await mesh.startConnector();
  });
  after(() => endMesh(mesh));

  /** Key and certificate, PEM. */
  type Papers = Pick<RogueOptions, 'key' | 'cert'>;
  const papers: readonly (readonly [string, () => Promise<Papers>])[] = [
    ['a certificate of its own', async () => (await testAuthority('rogue')).issue('connector')],
    ['a certificate of a mesh of the same name', () => papersOfOtherMesh()],
    ['the certificate of a connector of another customer', () => papersOfOtherCustomer()],
  ];

  const papersOfOtherMesh = async (): Promise<Papers> => {
    const authority = await MeshAuthority.create('mesh', modules);
    const key = SigningKey.generate();
    const identity = {
      mesh: 'mesh',
      customerId: mesh.customerId,
      role: 'connector',
      machineId: uuidText(uuid7(systemRandom, clock.now())),
    } as const;
    const { pem } = await authority.issue({ identity, publicKey: key.publicKey });
    return { key: key.toPem(), cert: pem };
  };

  const papersOfOtherCustomer = async (): Promise<Papers> => {
    const { connector } = await enrolConnector(mesh, { customerId: await mesh.customer('other') });
    return { key: connector.identity.toPem(), cert: connector.certificate.pem };
  };

  it('a rogue that announces itself captures no hub and hears nothing from it', async () => {
    const rogues: Rogue[] = [];
    try {
      for (const [n, [, make]] of papers.entries()) {
        rogues.push(await Rogue.start(`rogue-${n}`, { ...(await make()), ssdpPort: mesh.options.ssdpPort }));
      }
      // Otherwise it would be found by its address, which the cloud names.
      const hub = await mesh.addHub('hub', []);
      await mesh.quicken(hub.machineId, seconds(1));
      await untilPath(mesh, hub, 'connector');
      expect((await mesh.machine(hub.machineId)).connectorId).to.equal(mesh.connectorId);
      const log = await hub.process.log();
      for (const [n, [what]] of papers.entries()) {
        const rogue = rogues[n];
        if (!rogue) throw new Error('unreachable');
        expect(log, `the hub has tried the rogue with ${what}`).to.include(`127.0.0.1:${rogue.port}`);
        expect(rogue.connections, `connections to the rogue with ${what}`).to.be.greaterThan(0);
        expect(Buffer.concat(rogue.heard).length, `bytes told to the rogue with ${what}`).to.equal(0);
      }
      await untilReports(mesh, hub.machineId);
      await expectExactlyOnce(mesh, [hub]);
    } finally {
      for (const rogue of rogues) await rogue.stop();
    }
  });

  it('a connector that was taken over sees nothing of an enrolment, and cannot answer it', async () => {
    const { connector } = await enrolConnector(mesh);
    const seen: Buffer[] = [];
    let forge = true;
    const cloud = new GrpcChannel(
      {
        address: `127.0.0.1:${mesh.cloudPort}`,
        tls: {
          ca: connector.trust.pems,
          judgeServer: judgeServer(connector.trust, { mesh: 'mesh', role: 'cloud' }, () => clock.now()),
        },
      },
      modules,
    );
    const relay = async (method: 'enrol' | 'renew', request: Sealed) => {
      seen.push(Buffer.from(request.encapsulatedKey), Buffer.from(request.ciphertext));
      if (!forge) return cloud.unary(EnrollmentServiceService[method], request);
      forge = false;
      // The best that it can do without the cloud's key.
      return { ciphertext: systemRandom.bytes(900) };
    };
    const listener = new GrpcListener(
      {
        host: '127.0.0.1',
        port: 0,
        key: connector.identity.toPem(),
        cert: connector.certificate.pem,
        ca: connector.trust.pems.join(''),
        access: { rules: loadDescriptors().accessRules(), authenticate: () => ({ kind: 'anonymous' }) },
      },
      modules,
    );
    listener.add(EnrollmentServiceService, {
      enrol: (request) => relay('enrol', request),
      renew: (request) => relay('renew', request),
    });
    listener.add(LinkServiceService, {
      link: async () => {
        throw new ContractFault('contract.unavailable', 'not here');
      },
    });
    await listener.start();
    try {
      const byHand = ['--no-multicast', '--connector', `127.0.0.1:${listener.address.port}`];
      const deceived = await mesh.addHub('deceived', byHand);
      expect(seen.length, 'parts of one request').to.equal(2);
      expect(await deceived.process.log()).to.match(/does not answer the request/);
      await deceived.process.stop();

      // Now it does what it is there for, and has a look at it.
      const hub = await mesh.addHub('watched', byHand);
      expect(seen.length, 'parts of two requests').to.equal(4);
      const everything = Buffer.concat(seen);
      for (const [what, bytes] of await secretsOf(hub)) {
        expect(everything.includes(bytes), `${what} can be read`).to.equal(false);
      }
      await hub.process.stop();
    } finally {
      await cloud.stop();
      await listener.stop();
    }
  });

  /** What a request holds that nobody on the way may see. */
  async function secretsOf(hub: HubProcess): Promise<(readonly [string, Buffer])[]> {
    const token = parseEnrollmentToken(await readFile(join(mesh.options.directory, 'watched.token'), 'utf8'));
    const key = SigningKey.fromPem(await readFile(join(hub.directory, 'identity.key'), 'utf8'));
    const point = key.publicKey.spki.subarray(-64);
    const secrets = [
      ['the secret of the token', Buffer.from(token.secret)],
      ['the id of the token', Buffer.from(token.tokenId)],
      ['the key to be certified', point],
      ['the operating system', Buffer.from(process.platform)],
    ] as const;
    // The search finds them where they can be read.
    const plain = EnrolRequest.encode(
      EnrolRequest.fromPartial({
        tokenId: token.tokenId,
        secret: token.secret,
        identities: [{ csr: point }],
        info: { os: process.platform },
      }),
    ).finish();
    for (const [what, bytes] of secrets) expect(Buffer.from(plain).includes(bytes), what).to.equal(true);
    return [...secrets];
  }
});
