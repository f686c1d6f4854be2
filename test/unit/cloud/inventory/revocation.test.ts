// Retiring, and that no restored backup takes it back; what a restored cloud makes of machines it does not know.
import { appendFile, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { Revocations } from '../../../../src/cloud/inventory/revocations.js';
import { SessionPort } from '../../../../src/cloud/inventory/session-port.js';
import type { MeshCertificate } from '../../../../src/identity/certificates.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { codeOf, type Enrolled, TestCloud } from './fixture.js';

const verified = (cloud: TestCloud, { certificate }: Enrolled): MeshCertificate =>
  cloud.authority.bundle.verify(certificate, cloud.clock.now());

describe('inventory: retiring', () => {
  it('revokes a connector together with its embedded hub, and tells of each key once', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const { record, embedded, machine } = await cloud.enrolled(customer.id, 'connector');
    const other = await cloud.enrolled(customer.id, 'hub');
    const port = new SessionPort(cloud.inventory);
    const told: string[] = [];
    port.onRevoked((id, keyId) => told.push(`${id} ${keyId.toString('hex')}`));
    const retired = await cloud.inventory.machines.retire(record.id);
    await cloud.inventory.machines.retire(record.id);
    expect(retired.retiredAtMs).to.equal(cloud.clock.now());
    expect(cloud.machine(embedded?.id ?? '').retiredAtMs).to.equal(cloud.clock.now());
    const keys = machine.identities.map(({ key }) => key.publicKey.keyId);
    expect(told).to.deep.equal([
      `${record.id} ${keys[0]?.toString('hex')}`,
      `${embedded?.id} ${keys[1]?.toString('hex')}`,
    ]);
    expect(keys.map((key) => port.isRevoked(key))).to.deep.equal([true, true]);
    expect(port.isRevoked(other.machine.key.publicKey.keyId)).to.equal(false);
    expect(port.revokedKeys(customer.id)).to.deep.equal(keys);
    expect(port.revokedKeys(customer.id, 'connector')).to.deep.equal(keys.slice(0, 1));
    expect(port.revokedKeys((await cloud.customer('two')).id)).to.deep.equal([]);
  });

  it('is in force even when the store cannot be written, and done by the next try', async () => {
    await using cloud = await TestCloud.start();
    const { record, machine } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    cloud.store.failNextWrite();
    expect(await codeOf(cloud.inventory.machines.retire(record.id))).to.equal('storage.write-failed');
    expect(cloud.inventory.machines.isRevoked(machine.key.publicKey.keyId)).to.equal(true);
    expect((await cloud.inventory.machines.retire(record.id)).retiredAtMs).to.be.a('number');
  });

  it('survives a store that was rolled back', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const enrolled = await cloud.enrolled(customer.id, 'hub');
    const api = await cloud.inventory.tokens.createApi({
      caller: Caller.CUSTOMER_READER,
      customerId: customer.id,
      lifetimeMs: 0,
      name: '',
    });
    const backup = cloud.store.restarted();
    await cloud.inventory.machines.retire(enrolled.record.id);
    await cloud.inventory.tokens.revoke(api.token.id);
    await cloud.restart(backup);
    const port = new SessionPort(cloud.inventory);
    expect(cloud.machine(enrolled.record.id).retiredAtMs).to.be.a('number');
    expect(port.isRevoked(enrolled.machine.key.publicKey.keyId)).to.equal(true);
    expect(cloud.inventory.tokens.authenticate(api.text)).to.equal(undefined);
    expect(await codeOf(port.admit(verified(cloud, enrolled)))).to.equal('inventory.revoked');
  });

  it('is forgotten by a rolled-back store without the file (negative control)', async () => {
    await using cloud = await TestCloud.start();
    const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const backup = cloud.store.restarted();
    await cloud.inventory.machines.retire(record.id);
    await truncate(join(cloud.directory, 'revoked.log'), 0);
    await cloud.restart(backup);
    expect(cloud.machine(record.id).retiredAtMs).to.equal(undefined);
  });

  it('writes the file again from the store when it is gone', async () => {
    await using cloud = await TestCloud.start();
    const { record, machine } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    await cloud.inventory.machines.retire(record.id);
    const path = join(cloud.directory, 'revoked.log');
    const before = await readFile(path, 'utf8');
    await truncate(path, 0);
    await cloud.restart();
    expect(await readFile(path, 'utf8')).to.equal(before);
    expect(cloud.inventory.machines.isRevoked(machine.key.publicKey.keyId)).to.equal(true);
  });
});

describe('inventory: after a restore', () => {
  it('takes up a machine it does not know, in quarantine, with its customer', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const enrolled = await cloud.enrolled(customer.id, 'hub');
    await cloud.restart(new MemoryStore());
    const port = new SessionPort(cloud.inventory);
    expect(await port.admit(verified(cloud, enrolled))).to.deep.equal({ quarantined: true });
    const again = cloud.machine(enrolled.record.id);
    expect(again).to.include({ customerId: customer.id, role: 'hub' });
    expect(again.name).to.match(/^recovered /);
    expect(cloud.inventory.customers.get(customer.id)?.name).to.match(/^recovered /);
    expect(port.verifyKeys(again.id)[0]?.equals(enrolled.machine.key.publicKey)).to.equal(true);
    await cloud.inventory.reports.setQuarantined(again.id, undefined);
    await cloud.restart();
    expect(await new SessionPort(cloud.inventory).admit(verified(cloud, enrolled))).to.deep.equal({
      quarantined: false,
    });
  });

  it('adds a key it does not know to the history of a machine it knows', async () => {
    await using cloud = await TestCloud.start();
    const enrolled = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const { customerId, id: machineId } = enrolled.record;
    const stranger = await cloud.enrolled(customerId, 'hub');
    await cloud.restart(new MemoryStore());
    const port = new SessionPort(cloud.inventory);
    await port.admit(verified(cloud, enrolled));
    const identity = { mesh: 'occ.example', customerId, role: 'hub' as const, machineId };
    const { publicKey } = stranger.machine.key;
    const rotated = await cloud.authority.issue({ identity, publicKey });
    expect(await port.admit(rotated)).to.deep.equal({ quarantined: true });
    expect(port.verifyKeys(machineId).map((key) => key.equals(publicKey))).to.deep.equal([false, true]);
    const elsewhere = await cloud.authority.issue({ identity: { ...identity, role: 'connector' }, publicKey });
    expect(await codeOf(port.admit(elsewhere))).to.equal('inventory.invalid');
  });

  it('does not give out the numbers again that it has forgotten', async () => {
    await using cloud = await TestCloud.start();
    const { record } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    await cloud.inventory.reports.raiseAllConfigVersions(1_000);
    expect(cloud.machine(record.id).configVersion).to.equal(1_005);
  });
});

describe('inventory: the revocation log', () => {
  const entry = (n: number) => ({
    v: 1 as const,
    atMs: n,
    machineId: `m${n}`,
    customerId: 'c',
    role: 'hub' as const,
    keyIds: [n.toString(16).padStart(16, '0')],
  });
  const keyId = (n: number) => Buffer.from(n.toString(16).padStart(16, '0'), 'hex');

  async function withLog(test: (path: string, open: () => Promise<Revocations>) => Promise<void>): Promise<void> {
    await using cloud = await TestCloud.start();
    const path = join(cloud.directory, 'other.log');
    await test(path, () => Revocations.open(path, silentLogger));
  }

  it('removes half a line at its end and goes on behind it', () =>
    withLog(async (path, open) => {
      const log = await open();
      await log.add([entry(1)]);
      await log.stop();
      const { size } = await stat(path);
      await appendFile(path, '0011aabb {"v":1,"atMs":5,');
      const again = await open();
      expect((await stat(path)).size).to.equal(size);
      await again.add([entry(2)]);
      await again.stop();
      const last = await open();
      expect([1, 2, 3].map((n) => last.hasKey(keyId(n)))).to.deep.equal([true, true, false]);
      await last.stop();
    }));

  it('refuses any flipped bit before its last line feed', () =>
    withLog(async (path, open) => {
      const log = await open();
      await log.add([entry(1), entry(2)]);
      await log.stop();
      const content = await readFile(path);
      for (let at = 0; at < content.length - 1; at += 7) {
        const damaged = Buffer.from(content);
        damaged[at] = (damaged[at] ?? 0) ^ 1;
        await writeFile(path, damaged);
        expect(await codeOf(open().then((opened) => opened.stop())), `byte ${at}`).to.equal('inventory.damaged');
      }
    }));

  it('writes a revocation once', () =>
    withLog(async (path, open) => {
      const log = await open();
      await log.add([entry(1)]);
      const { size } = await stat(path);
      await log.add([entry(1)]);
      expect((await stat(path)).size).to.equal(size);
      await Promise.all([log.add([entry(2)]), log.add([entry(3)])]);
      await log.stop();
      await log.stop();
      expect((await readFile(path, 'utf8')).trim().split('\n')).to.have.length(3);
    }));
});
