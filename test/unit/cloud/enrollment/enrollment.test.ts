// Enrolment and renewal, from the sealed request to the sealed answer: the life of a token, and everything that a
// request can have wrong with it.
import { expect } from 'chai';
import pino from 'pino';
import { EnrollmentFailureCode as Code, EnrolAnswer, Role } from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import { requireName } from '../../../../src/cloud/api/validation.js';
import { EnrollmentService } from '../../../../src/cloud/enrollment/enrollment-service.js';
import { tableKey } from '../../../../src/cloud/tables.js';
import { createCsr } from '../../../../src/identity/csr.js';
import { sealRequest } from '../../../../src/identity/enrollment-envelope.js';
import { SigningKey } from '../../../../src/identity/keys.js';
import { SealingKeyPair } from '../../../../src/identity/sealing-keys.js';
import { uuidBytes, uuidText } from '../../../../src/identity/uuid.js';
import { days, hours, seconds } from '../../../../src/kernel/duration.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { codeOf, failure, membership, PEER, sendEnrol, TestCloud, TestMachine } from '../inventory/fixture.js';

describe('enrolment: welcome', () => {
  it('gives a hub a certificate for its key, its id and its customer', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const machine = TestMachine.of('hub');
    const [issued] = membership(await machine.enrol(cloud, await cloud.token(customer.id, 'hub')));
    const certificate = cloud.authority.bundle.verify(issued?.certificate ?? Buffer.alloc(0), cloud.clock.now());
    expect(certificate.key.equals(machine.key.publicKey)).to.equal(true);
    expect(certificate.identity).to.deep.equal({
      mesh: 'occ.example',
      customerId: customer.id,
      role: 'hub',
      machineId: uuidText(issued?.machineId ?? Buffer.alloc(0)),
    });
    const record = cloud.machine(certificate.identity.machineId);
    expect(record).to.include({ name: 'srv1', certificateExpiresAtMs: certificate.notAfter, role: 'hub' });
    expect(record.sealing?.key).to.equal(machine.identities[0]?.sealing.publicKey.toString('base64'));
  });

  it('makes a connector and its embedded hub companions', async () => {
    await using cloud = await TestCloud.start();
    const { record, embedded } = await cloud.enrolled((await cloud.customer('one')).id, 'connector');
    expect(record).to.include({ role: 'connector', companionId: embedded?.id, configVersion: 0 });
    expect(embedded).to.include({ role: 'hub', companionId: record.id, configVersion: 5 });
    expect(record.sealing).to.equal(undefined);
    expect([...cloud.inventory.sensors.of(record.id)]).to.deep.equal([]);
  });

  it('lets as many machines in as the token says, also all at once', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const token = await cloud.token(customer.id, 'hub', 3);
    const answers = await Promise.all([1, 2, 3, 4, 5].map(() => TestMachine.of('hub').enrol(cloud, token)));
    const refused = answers.filter((answer) => answer.result?.$case === 'failure');
    expect(refused.map(failure)).to.deep.equal([Code.USED_UP, Code.USED_UP]);
    expect([...cloud.inventory.machines.list(customer.id)]).to.have.length(3);
    expect(cloud.inventory.tokens.get(uuidText(token.tokenId))).to.include({ used: 3, uses: 3 });
  });
});

describe('enrolment: the life of a token', () => {
  it('answers a repeated request alike and counts it once, whatever happened in between', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const token = await cloud.token(customer.id, 'connector');
    const machine = TestMachine.of('connector');
    const request = await machine.request(token);
    const [first, atOnce] = await Promise.all([sendEnrol(cloud, request), sendEnrol(cloud, request)]);
    await cloud.restart();
    await cloud.clock.advance(hours(2));
    const later = await machine.enrol(cloud, token);
    expect(membership(atOnce)).to.deep.equal(membership(first));
    expect(membership(later)).to.deep.equal(membership(first));
    expect(cloud.inventory.tokens.get(uuidText(token.tokenId))).to.include({ used: 1 });
    expect([...cloud.inventory.machines.all()]).to.have.length(2);
  });

  it('lets no other key in once it is used', async () => {
    await using cloud = await TestCloud.start();
    const token = await cloud.token((await cloud.customer('one')).id, 'hub');
    membership(await TestMachine.of('hub').enrol(cloud, token));
    expect(failure(await TestMachine.of('hub').enrol(cloud, token))).to.equal(Code.USED_UP);
  });

  it('takes no use when the machine could not be recorded', async () => {
    await using cloud = await TestCloud.start();
    const token = await cloud.token((await cloud.customer('one')).id, 'hub');
    const machine = TestMachine.of('hub');
    cloud.store.failNextWrite();
    expect(await codeOf(machine.enrol(cloud, token))).to.equal('storage.write-failed');
    membership(await TestMachine.of('hub').enrol(cloud, token));
  });

  it('ends with its time', async () => {
    await using cloud = await TestCloud.start();
    const token = await cloud.token((await cloud.customer('one')).id, 'hub', 2);
    await cloud.clock.advance(seconds(3_599.999));
    membership(await TestMachine.of('hub').enrol(cloud, token));
    await cloud.clock.advance(seconds(0.001));
    expect(failure(await TestMachine.of('hub').enrol(cloud, token))).to.equal(Code.EXPIRED);
  });

  it('ends when it is revoked', async () => {
    await using cloud = await TestCloud.start();
    const token = await cloud.token((await cloud.customer('one')).id, 'hub');
    await cloud.inventory.tokens.revoke(uuidText(token.tokenId));
    expect(failure(await TestMachine.of('hub').enrol(cloud, token))).to.equal(Code.UNKNOWN_TOKEN);
  });

  it('is nothing without its secret, and an API token is none', async () => {
    await using cloud = await TestCloud.start();
    const { id } = await cloud.customer('one');
    const token = await cloud.token(id, 'hub');
    const wrong = { ...token, secret: Buffer.alloc(32) };
    expect(failure(await TestMachine.of('hub').enrol(cloud, wrong))).to.equal(Code.UNKNOWN_TOKEN);
    const unknown = { ...token, tokenId: Buffer.alloc(16, 7) };
    expect(failure(await TestMachine.of('hub').enrol(cloud, unknown))).to.equal(Code.UNKNOWN_TOKEN);
    let text = '';
    await cloud.inventory.tokens.ensureOperator(async (shown) => {
      text = shown;
    });
    const bytes = Buffer.from(text.slice(4), 'base64url');
    const api = { tokenId: bytes.subarray(0, 16), secret: bytes.subarray(16) };
    expect(failure(await TestMachine.of('hub').enrol(cloud, api))).to.equal(Code.UNKNOWN_TOKEN);
  });

  it('lets no more machines in than a customer may have, but those that are in already, and those of others', async () => {
    await using cloud = await TestCloud.start({ mostMachines: 3 });
    const { id } = await cloud.customer('one');
    const tokens = { connector: await cloud.token(id, 'connector', 9), hub: await cloud.token(id, 'hub', 9) };
    const hub = TestMachine.of('hub');
    membership(await TestMachine.of('connector').enrol(cloud, tokens.connector));
    const its = membership(await hub.enrol(cloud, tokens.hub));
    for (const role of ['hub', 'connector'] as const) {
      expect(failure(await TestMachine.of(role).enrol(cloud, tokens[role])), role).to.equal(Code.TOO_MANY);
    }
    expect(membership(await hub.enrol(cloud, tokens.hub)), 'once more').to.deep.equal(its);
    const other = await cloud.token((await cloud.customer('two')).id, 'hub');
    membership(await TestMachine.of('hub').enrol(cloud, other));
  });

  it('lets 20,000 machines of a customer in, as the contract says, retired ones among them', async () => {
    await using cloud = await TestCloud.start();
    const { id } = await cloud.customer('one');
    const token = await cloud.token(id, 'hub', 9);
    membership(await TestMachine.of('hub').enrol(cloud, token));
    const [record] = cloud.inventory.machines.list(id);
    const [key] = record?.keys ?? [];
    const copies = Array.from({ length: 19_998 }, (_, i) => {
      const bytes = Buffer.alloc(16);
      bytes.writeUInt32BE(i);
      const copy = { ...record, id: uuidText(bytes), keys: [{ ...key, keyId: bytes.toString('hex', 0, 8) }] };
      return { put: tableKey(uuidBytes(id), 'machine', bytes), value: Buffer.from(JSON.stringify(copy)) };
    });
    await cloud.store.commit(() => copies);
    await cloud.restart();
    const [last] = cloud.inventory.machines.list(id);
    await cloud.inventory.machines.retire(last?.id ?? '');
    membership(await TestMachine.of('hub').enrol(cloud, token));
    expect(failure(await TestMachine.of('hub').enrol(cloud, token))).to.equal(Code.TOO_MANY);
  });

  it('is for its role only', async () => {
    await using cloud = await TestCloud.start();
    const { id } = await cloud.customer('one');
    const [hub, connector] = [await cloud.token(id, 'hub'), await cloud.token(id, 'connector')];
    expect(failure(await TestMachine.of('connector').enrol(cloud, hub))).to.equal(Code.WRONG_ROLE);
    expect(failure(await TestMachine.of('hub').enrol(cloud, connector))).to.equal(Code.WRONG_ROLE);
    const request = await TestMachine.of('connector').request(connector);
    const alone = { ...request, identities: request.identities.slice(0, 1) };
    expect(failure(await sendEnrol(cloud, alone))).to.equal(Code.WRONG_ROLE);
  });

  it('gives a known key its identity again for another token, but no other customer and nothing that is retired', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    const { machine, record } = await cloud.enrolled(customer.id, 'hub');
    const second = await cloud.token(customer.id, 'hub');
    const [again] = membership(await machine.enrol(cloud, second));
    expect(uuidText(again?.machineId ?? Buffer.alloc(0))).to.equal(record.id);
    expect(cloud.inventory.tokens.get(uuidText(second.tokenId))).to.include({ used: 1 });
    const foreign = await cloud.token((await cloud.customer('two')).id, 'hub');
    expect(failure(await machine.enrol(cloud, foreign))).to.equal(Code.BAD_REQUEST);
    await cloud.inventory.machines.retire(record.id);
    expect(failure(await machine.enrol(cloud, second))).to.equal(Code.REVOKED);
    expect(failure(await machine.enrol(cloud, await cloud.token(customer.id, 'hub')))).to.equal(Code.REVOKED);
  });
});

describe('enrolment: requests that do not hold together', () => {
  it('are refused, each for its reason, and take no use', async () => {
    await using cloud = await TestCloud.start();
    const token = await cloud.token((await cloud.customer('one')).id, 'connector');
    const good = await TestMachine.of('connector').request(token);
    const [connector, hub] = good.identities;
    if (!connector || !hub) throw new Error('two identities expected');
    const stranger = SigningKey.generate();
    const csr = Buffer.from(hub.csr);
    csr[csr.length - 1] = (csr[csr.length - 1] ?? 0) ^ 1;
    const bad: Record<string, typeof good> = {
      'no identities': { ...good, identities: [] },
      'too many': { ...good, identities: [connector, hub, hub] },
      'a cloud node': { ...good, identities: [{ ...connector, role: Role.CLOUD }, hub] },
      'no CSR': { ...good, identities: [connector, { ...hub, csr: Buffer.alloc(0) }] },
      'a CSR with a broken signature': { ...good, identities: [connector, { ...hub, csr }] },
      "somebody else's statement": { ...good, identities: [connector, { ...hub, csr: await createCsr(stranger) }] },
      'another sealing key': {
        ...good,
        identities: [connector, { ...hub, sealingKey: SealingKeyPair.generate().publicKey }],
      },
      'no sealing key': {
        ...good,
        identities: [connector, { ...hub, sealingKey: Buffer.alloc(0), sealingKeySignature: Buffer.alloc(0) }],
      },
      'a sealing connector': { ...good, identities: [{ ...connector, sealingKey: hub.sealingKey }, hub] },
      'one key twice': { ...good, identities: [{ ...connector, csr: hub.csr }, hub] },
      'half a token': { ...good, secret: good.secret.subarray(1) },
      'a long name': { ...good, info: { ...EMPTY_INFO, hostname: 'ä'.repeat(129) } },
    };
    for (const [what, request] of Object.entries(bad)) {
      expect(failure(await sendEnrol(cloud, request)), what).to.equal(Code.BAD_REQUEST);
    }
    expect([...cloud.inventory.machines.all()]).to.deep.equal([]);
    membership(await sendEnrol(cloud, good));
  });

  it('are told apart from a repetition: a sealing key does not change by enrolling again', async () => {
    await using cloud = await TestCloud.start();
    const token = await cloud.token((await cloud.customer('one')).id, 'hub');
    const machine = TestMachine.of('hub');
    membership(await machine.enrol(cloud, token));
    for (const identity of machine.identities) identity.sealing = SealingKeyPair.generate();
    expect(failure(await machine.enrol(cloud, token))).to.equal(Code.BAD_REQUEST);
  });

  it('name a machine as an operator may, whatever its hostname is', async () => {
    await using cloud = await TestCloud.start();
    const customer = await cloud.customer('one');
    // Cut in the middle of a character, read from right to left, of white space only.
    for (const hostname of [`${'a'.repeat(63)}😀😀`, 'cod.\u202egpj', ' \u2028\n', 'ü'.repeat(128)]) {
      const machine = Object.assign(TestMachine.of('hub'), { hostname });
      const [issued] = membership(await machine.enrol(cloud, await cloud.token(customer.id, 'hub')));
      const { name } = cloud.machine(uuidText(issued?.machineId ?? Buffer.alloc(0)));
      expect(requireName('name', name)).to.equal(name);
    }
  });

  it('keep names printable', async () => {
    await using cloud = await TestCloud.start();
    const machine = TestMachine.of('hub');
    machine.hostname = '\u001b[2Jsrv\n1';
    membership(await machine.enrol(cloud, await cloud.token((await cloud.customer('one')).id, 'hub')));
    const [record] = [...cloud.inventory.machines.all()];
    expect(record?.name).to.equal('[2Jsrv 1');
  });

  it('end the call when they cannot be opened at all, and are answered sealed when they cannot be read', async () => {
    await using cloud = await TestCloud.start();
    const other = await sealRequest(SealingKeyPair.generate().publicKey, 'Enrol', Buffer.alloc(10));
    expect(await codeOf(cloud.enrollment.enrol(other.sealed, PEER))).to.equal('identity.cannot-open');
    const renew = await sealRequest(cloud.sealingKey.publicKey, 'Renew', Buffer.alloc(10));
    expect(await codeOf(cloud.enrollment.enrol(renew.sealed, PEER))).to.equal('identity.cannot-open');
    const garbage = await sealRequest(cloud.sealingKey.publicKey, 'Enrol', Buffer.alloc(10, 0xff));
    const answer = await garbage.openAnswer(await cloud.enrollment.enrol(garbage.sealed, PEER));
    expect(failure(EnrolAnswer.decode(answer))).to.equal(Code.BAD_REQUEST);
  });

  it('fill no disk: whoever has a token that is used up can ask for ever', async () => {
    await using cloud = await TestCloud.start();
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const { inventory, authority, sealingKey, clock } = cloud;
    const service = new EnrollmentService({}, { inventory, authority, sealingKey, clock, random: systemRandom, log });
    const { sealed } = await sealRequest(sealingKey.publicKey, 'Enrol', Buffer.alloc(10, 0xff));
    for (let i = 0; i < 100; i++) await service.enrol(sealed, { peer: `192.0.2.${i}:1` });
    expect(lines).to.have.length(30);
  });

  it('are too many from one source, but not for another, and not for ever', async () => {
    await using cloud = await TestCloud.start();
    const { sealed } = await sealRequest(SealingKeyPair.generate().publicKey, 'Enrol', Buffer.alloc(10));
    const send = (peer: string) => codeOf(cloud.enrollment.enrol(sealed, { peer }));
    const codes = new Set<string>();
    for (let i = 0; i < 50; i++) codes.add(await send(`192.0.2.1:${5_000 + i}`));
    expect([...codes]).to.deep.equal(['identity.cannot-open']);
    expect(await send('192.0.2.1:6000')).to.equal('api.exhausted');
    expect(await send('192.0.2.2:6000')).to.equal('identity.cannot-open');
    await cloud.clock.advance(seconds(0.1));
    expect(await send('192.0.2.1:6001')).to.equal('identity.cannot-open');
    expect(await send('192.0.2.1:6002')).to.equal('api.exhausted');
  });
});

const EMPTY_INFO = { hostname: '', os: '', osVersion: '', arch: '', fingerprint: '', software: '' };

describe('renewal', () => {
  it('gives a known key a new certificate, also past the end of the old one', async () => {
    await using cloud = await TestCloud.start();
    const { machine, record, certificate } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    await cloud.clock.advance(days(100));
    const answer = await machine.renew(cloud, record.id, certificate);
    if (answer.result?.$case !== 'identity') throw new Error('refused');
    const renewed = cloud.authority.bundle.verify(answer.result.value.certificate, cloud.clock.now());
    expect(renewed.identity.machineId).to.equal(record.id);
    expect(renewed.key.equals(machine.key.publicKey)).to.equal(true);
    expect(cloud.machine(record.id).certificateExpiresAtMs).to.equal(renewed.notAfter);
  });

  it('is refused to a retired machine, to another key, and for another machine', async () => {
    await using cloud = await TestCloud.start();
    const { id } = await cloud.customer('one');
    const [one, two] = [await cloud.enrolled(id, 'hub'), await cloud.enrolled(id, 'hub')];
    const { machine, record, certificate } = one;
    expect(failure(await machine.renew(cloud, record.id, certificate, two.machine.key))).to.equal(Code.BAD_REQUEST);
    expect(failure(await machine.renew(cloud, two.record.id, certificate))).to.equal(Code.BAD_REQUEST);
    expect(failure(await machine.renew(cloud, record.id, Buffer.alloc(20)))).to.equal(Code.BAD_REQUEST);
    await cloud.inventory.machines.retire(record.id);
    expect(failure(await machine.renew(cloud, record.id, certificate))).to.equal(Code.REVOKED);
  });

  it('is refused with the certificate of another mesh', async () => {
    await using cloud = await TestCloud.start();
    await using elsewhere = await TestCloud.start();
    const foreign = await elsewhere.enrolled((await elsewhere.customer('one')).id, 'hub');
    const answer = await foreign.machine.renew(cloud, foreign.record.id, foreign.certificate);
    expect(failure(answer)).to.equal(Code.UNKNOWN_MACHINE);
    expect([...cloud.inventory.machines.all()]).to.deep.equal([]);
  });

  it('takes up a machine that a restored cloud has forgotten, in quarantine', async () => {
    await using cloud = await TestCloud.start();
    const { machine, record, certificate } = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    await cloud.restart(new MemoryStore());
    const answer = await machine.renew(cloud, record.id, certificate);
    expect(answer.result?.$case).to.equal('identity');
    expect(cloud.machine(record.id).quarantined).to.be.a('string');
  });
});
