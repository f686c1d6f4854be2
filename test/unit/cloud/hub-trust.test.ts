// Certificates of hubs at the cloud's door: what is on record is compared, everything else is verified, and both say the
// same.
import { X509Certificate } from 'node:crypto';
import { expect } from 'chai';
import { HubTrust } from '../../../src/cloud/hub-trust.js';
import type { MachineRecord } from '../../../src/cloud/inventory/records.js';
import { MeshAuthority } from '../../../src/identity/authority.js';
import type { MeshCertificate, TrustBundle } from '../../../src/identity/certificates.js';
import { days } from '../../../src/kernel/duration.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { LinkFault } from '../../../src/link/fault.js';
import { type Enrolled, TestCloud } from './inventory/fixture.js';

describe('cloud: certificates of hubs', () => {
  let cloud: TestCloud;
  let hub: Enrolled;

  beforeEach(async () => {
    cloud = await TestCloud.start();
    const { id } = await cloud.customer('Example');
    hub = await cloud.enrolled(id, 'hub');
  });

  afterEach(() => cloud[Symbol.asyncDispose]());

  /** Counts what is verified; with other records or authorities than the cloud's where a test says so. */
  const trusting = (
    other: { readonly record?: (record: MachineRecord) => MachineRecord; readonly bundle?: TrustBundle } = {},
  ) => {
    const { inventory, authority, clock } = cloud;
    const { record = (same: MachineRecord) => same, bundle = authority.bundle } = other;
    let verified = 0;
    const counting: Pick<TrustBundle, 'verify' | 'hasAuthority'> = {
      verify: (...args) => {
        verified += 1;
        return bundle.verify(...args);
      },
      hasAuthority: (name) => bundle.hasAuthority(name),
    };
    const machines = {
      get: (id: string) => {
        const found = inventory.machines.get(id);
        return found && record(found);
      },
      verifyKeys: (id: string) => inventory.machines.verifyKeys(id),
    };
    const trust = new HubTrust({ bundle: counting, machines, clock });
    return { hub: (der: Uint8Array) => trust.hub(der), verified: () => verified };
  };

  const expectRefused = (attempt: () => unknown) =>
    expect(attempt).to.throw(LinkFault).with.property('code', 'link.unauthentic');

  const expectSame = (one: MeshCertificate, other: MeshCertificate) => {
    expect(one.identity).to.deep.equal(other.identity);
    expect(one.key.equals(other.key)).to.equal(true);
    expect(one.der.equals(other.der)).to.equal(true);
    expect([one.issuer, one.notBefore, one.notAfter, one.pem]).to.deep.equal([
      other.issuer,
      other.notBefore,
      other.notAfter,
      other.pem,
    ]);
  };

  it('say the same whether they are compared or verified', () => {
    const trust = trusting();
    const compared = trust.hub(hub.certificate);
    expect(trust.verified()).to.equal(0);
    expectSame(compared, cloud.authority.bundle.verify(hub.certificate, cloud.clock.now()));
  });

  it('are compared as well after a renewal, and the one before is verified', async () => {
    await cloud.clock.advance(days(1));
    const answer = await hub.machine.renew(cloud, hub.record.id, hub.certificate);
    if (answer.result?.$case !== 'identity') throw new Error('not renewed');
    const trust = trusting();
    trust.hub(answer.result.value.certificate);
    expect(trust.verified()).to.equal(0);
    trust.hub(hub.certificate);
    expect(trust.verified()).to.equal(1);
  });

  it('changed in any byte are refused', () => {
    const trust = trusting();
    for (let at = 0; at < hub.certificate.length; at += 7) {
      const changed = Buffer.from(hub.certificate);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expectRefused(() => trust.hub(changed));
    }
    expectRefused(() => trust.hub(Buffer.concat([hub.certificate, Buffer.of(0)])));
    expectRefused(() => trust.hub(Buffer.from(`spiffe://occ.example/customer/`)));
    expectRefused(() => trust.hub(new Uint8Array(0)));
  });

  it('that have expired are refused, on record or not', async () => {
    await cloud.clock.advance(days(91));
    expectRefused(() => trusting().hub(hub.certificate));
  });

  it('that an authority has signed which is trusted no longer are refused, on record or not', async () => {
    const { clock } = cloud;
    const { bundle } = await MeshAuthority.create('occ.example', { clock, random: systemRandom });
    expectRefused(() => trusting({ bundle }).hub(hub.certificate));
    // Negative control: it is the name of the authority that makes the difference.
    const trust = trusting({ bundle, record: (record) => ({ ...record, certificateIssuer: nameOf(bundle) }) });
    expect(trust.hub(hub.certificate).identity.machineId).to.equal(hub.record.id);
  });

  it('of a record that does not say who signed them are verified', () => {
    const trust = trusting({
      record: ({ certificateIssuer: _, ...older }) => older,
    });
    expect(trust.hub(hub.certificate).identity.machineId).to.equal(hub.record.id);
    expect(trust.verified()).to.equal(1);
  });

  it('of connectors are refused, though they are on record', async () => {
    const connector = await cloud.enrolled(hub.record.customerId, 'connector');
    expectRefused(() => trusting().hub(connector.certificate));
  });
});

const nameOf = (bundle: TrustBundle): string => {
  const [pem = ''] = bundle.pems;
  return new X509Certificate(pem).subject;
};
