// secrets.v1 on a cloud in memory: sealing here and at the caller's, versions, targets, keys, and that nothing of a secret
// stays behind.
import { expect } from 'chai';
import {
  type Resealed,
  type SealedSecret,
  SecretProblem,
  type SensorConfig,
} from '../../../../gen/occmesh/link/v1/link.js';
import { PutSecretRequest, type Secret, SecretState } from '../../../../gen/occmesh/secrets/v1/secrets.js';
import { SecretService } from '../../../../src/cloud/api/secret-service.js';
import { sensorId } from '../../../../src/cloud/inventory/tables.js';
import { InventoryFault } from '../../../../src/cloud/records/faults.js';
import { SealingKeyPair, signSealingKey } from '../../../../src/identity/sealing-keys.js';
import {
  openSecret,
  requireSealingKey,
  type SecretPlace,
  sealSecret,
} from '../../../../src/identity/secret-sealing.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import type { Enrolled } from '../inventory/fixture.js';
import { adminOf, faultOf, OPERATOR, TestApi } from './fixture.js';

const TIMING = { intervalMs: 60_000, timeoutMs: 20_000, thresholds: [], paused: false };
const CANARY = 'canary-7f3a9d';

/** A hub with a sensor that may have a password. */
class Site implements AsyncDisposable {
  private constructor(
    readonly api: TestApi,
    readonly customer: string,
    readonly enrolled: Enrolled,
    readonly sensor: string,
    readonly number: number,
  ) {}

  static async start(): Promise<Site> {
    const api = await TestApi.start();
    const { id: customer } = await api.cloud.customer('one');
    const enrolled = await api.cloud.enrolled(customer, 'hub');
    const settings = { url: 'https://web.example/', auth: 'basic', user: 'monitor' };
    const wanted = { kind: 'http', settings, ...TIMING };
    const { number } = await api.cloud.inventory.sensors.create(enrolled.record.id, wanted);
    return new Site(api, customer, enrolled, sensorId(enrolled.record.id, number), number);
  }

  get hub(): string {
    return this.enrolled.record.id;
  }

  get keys(): SealingKeyPair {
    const [identity] = this.enrolled.machine.identities;
    if (!identity) throw new Error('no identity');
    return identity.sealing;
  }

  put(plaintext: string, field = 'password'): Promise<Secret> {
    const secret = { $case: 'plaintext', value: Buffer.from(plaintext) } as const;
    return this.api.call('putSecret', adminOf(this.customer), { sensorId: this.sensor, field, secret });
  }

  prepare(field = 'password') {
    return this.api.call('getSealingContext', adminOf(this.customer), { sensorId: this.sensor, field });
  }

  putSealed(sealed: SealedSecret): Promise<Secret> {
    const secret = { $case: 'sealed', value: sealed } as const;
    return this.api.call('putSecret', adminOf(this.customer), { sensorId: this.sensor, field: sealed.field, secret });
  }

  async list(): Promise<Secret[]> {
    return (await this.api.call('listSecrets', OPERATOR, { sensorId: this.sensor })).secrets;
  }

  async state(field = 'password'): Promise<SecretState | undefined> {
    return (await this.list()).find((secret) => secret.field === field)?.state;
  }

  /** What the hub would be sent. */
  config(): SensorConfig {
    const state = this.api.cloud.inventory.machines.desiredState(this.hub);
    const config = state?.sensors.find(({ number }) => number === this.number);
    if (!config) throw new Error('no such sensor');
    return config;
  }

  get version(): number {
    return this.api.cloud.machine(this.hub).configVersion;
  }

  async runs(version = this.version): Promise<void> {
    const applied = { version, runningVersion: version, error: '', failures: [], secretFailures: [] };
    await this.api.cloud.inventory.reports.applied(this.hub, applied);
  }

  async opened(keys = this.keys): Promise<string> {
    const [sealed] = this.config().secrets;
    if (!sealed) throw new Error('no secret');
    return (await openSecret(keys, this.place(sealed), sealed)).toString();
  }

  place(sealed: SealedSecret): SecretPlace {
    const target = Object.fromEntries(sealed.target.map(({ name, value }) => [name, value]));
    const { field, version } = sealed;
    return { customerId: this.customer, machineId: this.hub, sensor: this.number, field, version, target };
  }

  update(settings: Record<string, string>) {
    return this.api.call('updateSensor', OPERATOR, { id: this.sensor, settings });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.api[Symbol.asyncDispose]();
  }
}

describe('secrets API', () => {
  it('seals what comes in the clear before it is stored; the hub opens it', async () => {
    await using site = await Site.start();
    expect(await site.state()).to.equal(SecretState.NOT_ENTERED);
    const before = site.version;
    const secret = await site.put(CANARY);
    expect(secret).to.include({ state: SecretState.PENDING, version: before + 1, sensorId: site.sensor });
    expect(secret.target).to.deep.include({ name: 'user', value: 'monitor' });
    expect(site.version).to.equal(before + 1);
    expect(await site.opened()).to.equal(CANARY);
    await site.runs();
    expect(await site.state()).to.equal(SecretState.READY);
    await site.api.cloud.restart();
    expect(await site.opened()).to.equal(CANARY);
    const dump = await site.api.cloud.dump();
    expect(dump.includes(CANARY) || dump.includes(Buffer.from(CANARY).toString('base64'))).to.equal(false);
    expect(dump.includes('web.example'), 'positive control: what is not secret is found').to.equal(true);
  });

  it('wipes what came in the clear, also when it is refused', async () => {
    await using site = await Site.start();
    const service = new SecretService({ inventory: site.api.cloud.inventory, random: systemRandom });
    for (const sensor of [site.sensor, `${site.hub}/99`]) {
      const value = Buffer.from(CANARY);
      const request = { sensorId: sensor, field: 'password', secret: { $case: 'plaintext', value } } as const;
      const call = { principal: OPERATOR, signal: new AbortController().signal };
      await faultOf(service.putSecret(PutSecretRequest.fromPartial(request as never), call));
      await faultOf(service.putSecret({ ...request, secret: { $case: 'plaintext', value } }, call));
      expect(value.equals(Buffer.alloc(CANARY.length))).to.equal(true);
    }
  });

  it('tells whoever seals all that it takes, to be verified up to the mesh CA', async () => {
    await using site = await Site.start();
    const prepared = await site.prepare();
    const { clock, authority } = site.api.cloud;
    const key = requireSealingKey(authority.bundle, prepared, clock.now());
    expect(Buffer.from(key).equals(site.keys.publicKey)).to.equal(true);
    const target = Object.fromEntries(prepared.target.map(({ name, value }) => [name, value]));
    const secret = await site.putSealed(await sealSecret(key, { ...prepared, target }, Buffer.from(CANARY)));
    expect(secret).to.include({ state: SecretState.PENDING, version: prepared.version });
    expect(await site.opened()).to.equal(CANARY);
  });

  it('takes a sealed secret only for what it is now: version, target, key, length, field', async () => {
    await using site = await Site.start();
    const prepared = await site.prepare();
    const target = Object.fromEntries(prepared.target.map(({ name, value }) => [name, value]));
    const sealed = await sealSecret(prepared.sealingKey, { ...prepared, target }, Buffer.from('x'));
    const refuse = async (wrong: Partial<SealedSecret>, fault: RegExp) =>
      expect(await faultOf(site.putSealed({ ...sealed, ...wrong })), JSON.stringify(wrong)).to.match(fault);
    await refuse({ version: sealed.version - 1 }, /^inventory\.conflict/);
    await refuse({ version: sealed.version + 1 }, /^inventory\.conflict/);
    await refuse({ target: sealed.target.slice(1) }, /^inventory\.conflict: the sensor has another target/);
    await refuse({ sealingKeyId: Buffer.alloc(8) }, /^inventory\.conflict: the hub has another sealing key/);
    await refuse({ ciphertext: Buffer.alloc(16) }, /^inventory\.invalid/);
    await refuse({ ciphertext: Buffer.alloc(4_096 + 17) }, /^inventory\.invalid/);
    await refuse({ encapsulatedKey: Buffer.alloc(31) }, /^inventory\.invalid/);
    await refuse({ field: 'passphrase' }, /^inventory\.invalid: field: a sensor of kind http has password, token/);
    const other = { sensorId: site.sensor, field: 'token', secret: { $case: 'sealed', value: sealed } } as const;
    expect(await faultOf(site.api.call('putSecret', OPERATOR, other))).to.match(/^api\.invalid/);
    expect((await site.putSealed(sealed)).version).to.equal(sealed.version);
    // The very same once more: its version is taken.
    expect(await faultOf(site.putSealed(sealed))).to.match(/^inventory\.conflict/);
  });

  it('has limits and says so, without quoting', async () => {
    await using site = await Site.start();
    for (const length of [0, 4_097]) {
      const fault = await faultOf(site.put('z'.repeat(length)));
      expect(fault)
        .to.match(/^api\.invalid: plaintext: must have 1 to 4096 bytes/)
        .and.not.contain('zz');
    }
    expect((await site.put('z'.repeat(4_096))).state).to.equal(SecretState.PENDING);
    expect(await faultOf(site.api.call('putSecret', OPERATOR, { sensorId: site.sensor, field: 'password' }))).to.match(
      /^api\.invalid: secret: is missing/,
    );
    const cpu = { sensorId: `${site.hub}/1`, field: 'password' };
    expect(await faultOf(site.api.call('getSealingContext', OPERATOR, cpu))).to.match(/has no secrets$/);
    expect(await faultOf(site.prepare('constructor'))).to.match(/^inventory\.invalid/);
  });

  it('makes a secret void when its sensor gets another target, and only then', async () => {
    await using site = await Site.start();
    await site.put(CANARY);
    await site.runs();
    const settings = { url: 'https://web.example/', auth: 'basic', user: 'monitor' };
    await site.update({ ...settings, method: 'HEAD' });
    expect(await site.opened(), 'another setting').to.equal(CANARY);
    await site.update({ ...settings, url: 'https://evil.example/' });
    expect(await site.state()).to.equal(SecretState.TARGET_CHANGED);
    expect(site.config().secrets).to.deep.equal([]);
    // Also when the old target is back: it was said to be void.
    await site.update(settings);
    expect(await site.state()).to.equal(SecretState.TARGET_CHANGED);
    await site.api.cloud.restart();
    expect(await site.state()).to.equal(SecretState.TARGET_CHANGED);
    expect((await site.put('new')).state).to.equal(SecretState.PENDING);
    expect(await site.opened()).to.equal('new');
  });

  it('versions only rise: entering again, removing, and after a restore', async () => {
    await using site = await Site.start();
    const backup = site.api.cloud.store.restarted();
    const versions = [(await site.put('one')).version, (await site.put('two')).version];
    await site.api.call('deleteSecret', OPERATOR, { sensorId: site.sensor, field: 'password' });
    expect(await site.state()).to.equal(SecretState.NOT_ENTERED);
    expect(site.config().secrets).to.deep.equal([]);
    const { version } = site;
    await site.api.call('deleteSecret', OPERATOR, { sensorId: site.sensor, field: 'password' });
    expect(site.version, 'nothing to remove').to.equal(version);
    const wrong = site.api.call('deleteSecret', OPERATOR, { sensorId: site.sensor, field: 'passwort' });
    expect(await wrong.catch((thrown: Error) => thrown.message)).to.equal(
      'field: a sensor of kind http has password, token',
    );
    versions.push((await site.put('three')).version);
    const seen = site.version;
    await site.api.cloud.restart(backup);
    await site.api.cloud.inventory.reports.raiseConfigVersion(site.hub, seen);
    versions.push((await site.put('four')).version);
    expect(versions).to.deep.equal([...versions].sort((a, b) => a - b));
    expect(new Set(versions).size).to.equal(4);
  });

  it('says what the hub refuses, for the very version', async () => {
    await using site = await Site.start();
    const { version } = await site.put(CANARY);
    const problem = SecretProblem.ROLLED_BACK;
    const secretFailures = [{ sensor: site.number, field: 'password', version, problem }];
    const applied = { version: site.version, runningVersion: site.version, error: '', failures: [], secretFailures };
    await site.api.cloud.inventory.reports.applied(site.hub, applied);
    expect((await site.list())[0]).to.include({ field: 'password', state: SecretState.REFUSED, problem });
    await site.put('again');
    expect(await site.state()).to.equal(SecretState.PENDING);
  });

  it('gives nothing to a retired or quarantined hub, nor to one without a key; retiring forgets', async () => {
    await using site = await Site.start();
    await site.put(CANARY);
    const { inventory } = site.api.cloud;
    await inventory.reports.setQuarantined(site.hub, 'cloned');
    expect(await faultOf(site.prepare())).to.match(/^inventory\.unsuitable: .* quarantine/);
    await inventory.reports.setQuarantined(site.hub, undefined);
    await inventory.machines.retire(site.hub);
    expect(await faultOf(site.put('x'))).to.match(/^inventory\.unsuitable: .* retired/);
    expect([...inventory.secrets.of(site.hub)]).to.deep.equal([]);
  });

  it('keeps sensors with secrets apart, and removes them with their sensor', async () => {
    await using site = await Site.start();
    const settings = { url: 'https://web.example/', auth: 'bearer' };
    const wanted = { machineId: site.hub, kind: 'http', name: 'second', settings };
    const second = await site.api.call('createSensor', OPERATOR, wanted);
    await site.put(CANARY);
    const secret = { $case: 'plaintext', value: Buffer.from('other') } as const;
    await site.api.call('putSecret', OPERATOR, { sensorId: second.id, field: 'token', secret });
    const { secrets } = await site.api.call('listSecrets', OPERATOR, { machineId: site.hub });
    expect(secrets.map(({ sensorId: id, field, state }) => [id, field, SecretState[state]])).to.deep.equal([
      [site.sensor, 'password', 'PENDING'],
      [site.sensor, 'token', 'NOT_ENTERED'],
      [second.id, 'password', 'NOT_ENTERED'],
      [second.id, 'token', 'PENDING'],
    ]);
    await site.api.call('deleteSensor', OPERATOR, { id: site.sensor });
    const left = [...site.api.cloud.inventory.secrets.of(site.hub)];
    expect(left.map(({ sensor }) => sensor)).to.deep.equal([second.number]);
  });
});

describe('sealing keys', () => {
  const resealed = async (site: Site, fresh: SealingKeyPair): Promise<Resealed> => {
    const secrets = await Promise.all(
      site.config().secrets.map(async (old) => {
        const place = site.place(old);
        const plaintext = await openSecret(site.keys, place, old);
        return { sensor: site.number, secret: await sealSecret(fresh.publicKey, place, plaintext) };
      }),
    );
    const signature = signSealingKey(site.enrolled.machine.key, fresh.publicKey);
    return {
      machineId: Buffer.alloc(16),
      configVersion: site.version,
      oldKey: site.keys.publicKey,
      newKey: { key: fresh.publicKey, signature },
      secrets,
    };
  };

  it('are rotated in one step: everything or nothing, for the latest version only', async () => {
    await using site = await Site.start();
    const { sealing } = site.api.cloud.inventory;
    const identity = site.enrolled.machine.key.publicKey;
    const { version } = await site.put(CANARY);
    const fresh = SealingKeyPair.generate();
    expect(await sealing.resealed(site.hub, await resealed(site, fresh), identity), 'nobody asked').to.equal(false);
    expect((await site.api.call('rotateSealingKey', OPERATOR, { id: site.hub })).rotating).to.equal(true);
    const wish = site.version;
    await site.api.call('rotateSealingKey', OPERATOR, { id: site.hub });
    expect(site.version, 'asked for already').to.equal(wish);
    expect(site.api.cloud.inventory.machines.desiredState(site.hub)?.rotateSealingKey).to.equal(true);
    const early = await resealed(site, fresh);
    await site.put('second', 'password');
    expect(await sealing.resealed(site.hub, early, identity), 'another secret has come').to.equal(false);
    expect(await site.opened()).to.equal('second');
    await site.api.cloud.restart();
    const answer = await resealed(site, fresh);
    const forged = { ...answer, newKey: { key: SealingKeyPair.generate().publicKey, signature: Buffer.alloc(64) } };
    expect(await faultOf(site.api.cloud.inventory.sealing.resealed(site.hub, forged, identity))).to.match(/not signed/);
    expect(await site.api.cloud.inventory.sealing.resealed(site.hub, answer, identity)).to.equal(true);
    expect(await site.api.cloud.inventory.sealing.resealed(site.hub, answer, identity), 'twice').to.equal(false);
    expect(await site.opened(fresh)).to.equal('second');
    expect(site.config().secrets[0]?.version).to.be.greaterThan(version);
    const state = site.api.cloud.inventory.machines.desiredState(site.hub);
    expect(Buffer.from(state?.sealingKey ?? []).equals(fresh.publicKey)).to.equal(true);
    expect(state?.rotateSealingKey).to.equal(false);
  });

  it('that a hub could not open with must be entered again', async () => {
    await using site = await Site.start();
    await site.put(CANARY);
    await site.api.call('rotateSealingKey', OPERATOR, { id: site.hub });
    const answer = { ...(await resealed(site, SealingKeyPair.generate())), secrets: [] };
    const { sealing } = site.api.cloud.inventory;
    expect(await sealing.resealed(site.hub, answer, site.enrolled.machine.key.publicKey)).to.equal(true);
    expect(await site.state()).to.equal(SecretState.KEY_LOST);
  });

  it('that are lost are noticed when the hub says which it has; both of a rotation count', async () => {
    await using site = await Site.start();
    await site.put(CANARY);
    const { sealing } = site.api.cloud.inventory;
    const { key } = site.enrolled.machine;
    const statement = (pair: SealingKeyPair) => ({
      key: pair.publicKey,
      signature: signSealingKey(key, pair.publicKey),
    });
    const fresh = SealingKeyPair.generate();
    const { version } = site;
    await sealing.announced(site.hub, [statement(fresh), statement(site.keys)], key.publicKey);
    await sealing.announced(site.hub, [], key.publicKey);
    expect(site.version).to.equal(version);
    const forged = { key: fresh.publicKey, signature: Buffer.alloc(64) };
    expect(await faultOf(sealing.announced(site.hub, [forged], key.publicKey))).to.match(/^inventory\.invalid/);
    expect(await site.state()).to.equal(SecretState.PENDING);
    await sealing.announced(site.hub, [statement(fresh)], key.publicKey);
    expect(await site.state()).to.equal(SecretState.KEY_LOST);
    expect(site.version).to.equal(version + 1);
    await site.put('again');
    expect(await site.opened(fresh)).to.equal('again');
  });

  it('are not rotated where there is none', async () => {
    await using site = await Site.start();
    const { record } = await site.api.cloud.enrolled(site.customer, 'connector');
    const fault = await faultOf(site.api.call('rotateSealingKey', OPERATOR, { id: record.id }));
    expect(fault).to.match(/^inventory\.unsuitable: .* connector/);
    expect(new InventoryFault('inventory.conflict', '')).to.have.property('permanent', false);
  });
});
