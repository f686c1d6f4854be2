// A machine that is installed anew and comes back as itself: what it keeps, what its old keys are worth, and that nobody
// else can come in its place.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { EnrollmentFailureCode } from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import { SessionRecord } from '../../../../gen/occmesh/store/v1/store.js';
import { judgeGeneration } from '../../../../src/cloud/sessions/session-record.js';
import { MeshCertificate } from '../../../../src/identity/certificates.js';
import { sealSecret } from '../../../../src/identity/secret-sealing.js';
import { uuidBytes, uuidText } from '../../../../src/identity/uuid.js';
import { codeOf, failure, membership, TestCloud, TestMachine, type TokenSecret } from '../inventory/fixture.js';

const HOUR = 3_600_000;

async function tokenFor(cloud: TestCloud, machineId: string): Promise<TokenSecret> {
  const { role, customerId } = cloud.machine(machineId);
  const wanted = { customerId, role, uses: 1, lifetimeMs: HOUR, name: '', machineId };
  const { token, secret } = await cloud.inventory.tokens.createEnrollment(wanted);
  return { tokenId: uuidBytes(token.id), secret };
}

const idsOf = (identities: readonly { machineId: Uint8Array }[]) =>
  identities.map(({ machineId }) => uuidText(machineId));

describe('a machine that is installed anew', () => {
  it('keeps id, name, sensors and versions; its old key is revoked, its secrets are to be entered again', async () => {
    await using cloud = await TestCloud.start();
    const { id: customerId } = await cloud.customer('one');
    const old = await cloud.enrolled(customerId, 'hub');
    const { id } = old.record;
    const { inventory } = cloud;
    await inventory.machines.update(id, { name: 'till' });
    const web = {
      kind: 'http',
      settings: { url: 'https://web.example/', auth: 'bearer' },
      thresholds: [],
      paused: false,
    };
    const made = await inventory.sensors.create(id, { ...web, intervalMs: 60_000, timeoutMs: 1_000 });
    const sensor = `${id}/${made.number}`;
    const { place, sealingKey } = inventory.secrets.prepare(sensor, 'token');
    await inventory.secrets.put(sensor, await sealSecret(sealingKey, place, Buffer.from('hunter2')));
    await inventory.reports.setQuarantined(id, 'cloned');
    const sensors = [...inventory.sensors.of(id)];
    const { configVersion } = cloud.machine(id);
    const replaced: string[] = [];
    inventory.admission.onReplaced((machine) => replaced.push(machine));

    const machine = TestMachine.of('hub');
    machine.hostname = 'new-disk';
    const token = await tokenFor(cloud, id);
    const identities = membership(await machine.enrol(cloud, token));
    expect(idsOf(identities)).to.deep.equal([id]);
    const record = cloud.machine(id);
    expect(record).to.include({ id, name: 'till', customerId, configVersion: configVersion + 1 });
    expect(record.quarantined).to.equal(undefined);
    expect(record.info.hostname).to.equal('new-disk');
    expect([...inventory.sensors.of(id)]).to.deep.equal(sensors);
    expect(inventory.secrets.get(sensor, 'token')).to.include({ void: 'key-lost' }).and.not.have.property('sealed');
    const [identity] = machine.identities;
    expect(inventory.secrets.prepare(sensor, 'token').sealingKey).to.deep.equal(identity?.sealing.publicKey);
    expect(replaced).to.deep.equal([id]);

    const check = () => {
      const { machines } = cloud.inventory;
      expect(machines.isRevoked(old.machine.key.publicKey.keyId)).to.equal(true);
      expect(machines.isRevoked(machine.key.publicKey.keyId)).to.equal(false);
      expect(machines.get(id)?.retiredAtMs).to.equal(undefined);
      // What it had sent before can still be verified.
      expect(machines.verifyKeys(id)).to.have.length(2);
    };
    check();
    const certificate = MeshCertificate.parse(Buffer.from(old.certificate));
    expect(await codeOf(inventory.reports.readopt(certificate))).to.equal('inventory.revoked');
    expect(failure(await old.machine.renew(cloud, id, old.certificate))).to.equal(EnrollmentFailureCode.REVOKED);
    // Asked once more, since the answer was lost.
    const again = membership(await machine.enrol(cloud, token));
    expect(again.map((one) => Buffer.from(one.certificate))).to.deep.equal(
      identities.map((one) => Buffer.from(one.certificate)),
    );
    expect(replaced).to.deep.equal([id]);
    await cloud.restart();
    check();
    expect(await machine.renew(cloud, id, identities[0]?.certificate ?? Buffer.alloc(0))).to.have.nested.property(
      'result.$case',
      'identity',
    );
  });

  it('revokes the old key at the next start when it ended just before', async () => {
    await using cloud = await TestCloud.start();
    const old = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const token = await tokenFor(cloud, old.record.id);
    await TestMachine.of('hub').enrol(cloud, token);
    // As a crash between the two would leave it: the record says so, the revocation log does not yet.
    const keys = cloud.machine(old.record.id).keys.map(({ replacedAtMs }) => replacedAtMs !== undefined);
    expect(keys).to.deep.equal([true, false]);
    const store = cloud.store.restarted();
    await cloud.inventory.stop();
    await writeFile(join(cloud.directory, 'revoked.log'), '');
    await cloud.restart(store);
    expect(cloud.inventory.machines.isRevoked(old.machine.key.publicKey.keyId)).to.equal(true);
  });

  it('comes back as a connector with its hub', async () => {
    await using cloud = await TestCloud.start();
    const { record, embedded } = await cloud.enrolled((await cloud.customer('one')).id, 'connector');
    const identities = membership(await TestMachine.of('connector').enrol(cloud, await tokenFor(cloud, record.id)));
    expect(idsOf(identities)).to.deep.equal([record.id, embedded?.id]);
    expect(cloud.machine(record.id).companionId).to.equal(embedded?.id);
    const revoked = cloud.inventory.machines.revokedKeys(record.customerId, 'connector');
    expect(revoked.map((key) => key.toString('hex'))).to.deep.equal([record.keys[0]?.keyId]);
  });

  it('is let in once, only as what it is, and not when it has been retired', async () => {
    await using cloud = await TestCloud.start();
    const { id: customerId } = await cloud.customer('one');
    const [one, other] = [await cloud.enrolled(customerId, 'hub'), await cloud.enrolled(customerId, 'hub')];
    const token = await tokenFor(cloud, one.record.id);
    const code = async (machine: TestMachine, which: TokenSecret) => failure(await machine.enrol(cloud, which));
    expect(await code(TestMachine.of('connector'), token)).to.equal(EnrollmentFailureCode.WRONG_ROLE);
    expect(await code(other.machine, token), 'with the key of another machine').to.equal(
      EnrollmentFailureCode.BAD_REQUEST,
    );
    membership(await TestMachine.of('hub').enrol(cloud, token));
    expect(await code(TestMachine.of('hub'), token)).to.equal(EnrollmentFailureCode.USED_UP);
    expect(await code(one.machine, await tokenFor(cloud, one.record.id)), 'with its revoked key').to.equal(
      EnrollmentFailureCode.REVOKED,
    );
    const late = await tokenFor(cloud, other.record.id);
    await cloud.inventory.machines.retire(other.record.id);
    expect(await code(TestMachine.of('hub'), late)).to.equal(EnrollmentFailureCode.REVOKED);
  });

  it('is no clone: it presents no generation, with a key to which none was issued', () => {
    const [old, fresh] = [Buffer.alloc(8, 1), Buffer.alloc(8, 2)];
    const record = SessionRecord.fromPartial({ issuedGeneration: 9, confirmedGeneration: 9, keyId: old });
    expect(judgeGeneration(record, 0, fresh)).to.equal('current');
    expect(judgeGeneration(record, 0, old), 'rolled back').to.equal('older');
    expect(judgeGeneration(record, 5, fresh), 'that is no fresh installation').to.equal('older');
    expect(judgeGeneration({ ...record, keyId: Buffer.alloc(0) }, 0, fresh), 'not known').to.equal('older');
  });
});
