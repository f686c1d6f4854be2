// A hub's vault on real files: what it opens, what it refuses and why, and the replacing of its key, with the cloud's
// inventory on the other side and an end of either process at every step.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { DesiredState, Resealed, SecretProblem, SignedByCloud } from '../../../gen/occmesh/link/v1/link.js';
import { secretsOf } from '../../../src/cloud/api/sensor-settings.js';
import { DesiredStateKeeper } from '../../../src/hub/desired-state.js';
import { Vault } from '../../../src/hub/vault.js';
import { openKeyFile } from '../../../src/identity/key-file.js';
import { SigningKey } from '../../../src/identity/keys.js';
import { SealingKeyPair } from '../../../src/identity/sealing-keys.js';
import { sealSecret } from '../../../src/identity/secret-sealing.js';
import { signContent, verifySigned } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { KINDS } from '../../../src/sensors/registry.js';
import { type Enrolled, TestCloud } from '../cloud/inventory/fixture.js';

const WEB = { kind: 'http', settings: { url: 'https://web.example/', auth: 'bearer' }, thresholds: [], paused: false };
const TIMING = { intervalMs: 60_000, timeoutMs: 20_000 };
const node = SigningKey.generate();

/** A cloud's inventory and a hub's files, with processes that can end. */
class Site implements AsyncDisposable {
  vault!: Vault;
  desired!: DesiredStateKeeper;
  failures: [string, SecretProblem][] = [];

  private constructor(
    readonly cloud: TestCloud,
    readonly enrolled: Enrolled,
    readonly directory: string,
    readonly sensors: readonly string[],
  ) {}

  /** With so many sensors, each with a token of its own. */
  static async start(count = 1): Promise<Site> {
    const cloud = await TestCloud.start();
    const enrolled = await cloud.enrolled((await cloud.customer('one')).id, 'hub');
    const sensors: string[] = [];
    for (let n = 0; n < count; n++) {
      const { machineId, number } = await cloud.inventory.sensors.create(enrolled.record.id, { ...WEB, ...TIMING });
      sensors.push(`${machineId}/${number}`);
    }
    const directory = await mkdtemp(join(tmpdir(), 'vault-'));
    const [identity] = enrolled.machine.identities;
    await writeFile(join(directory, 'sealing.key'), identity?.sealing.toPem() ?? '', { mode: 0o600 });
    const site = new Site(cloud, enrolled, directory, sensors);
    await site.boot();
    for (const sensor of sensors) await site.enter(sensor, `secret of ${sensor}`);
    return site;
  }

  get hub(): string {
    return this.enrolled.record.id;
  }

  /** The hub's process starts. */
  async boot(): Promise<void> {
    const { id: machineId, customerId } = this.enrolled.record;
    const { directory } = this;
    const sealing = await openKeyFile(join(directory, 'sealing.key'), SealingKeyPair);
    const identity = this.enrolled.machine.key;
    const modules = { directory, customerId, machineId, identity, sealing, kinds: KINDS, log: silentLogger };
    this.vault = await Vault.open(modules);
    this.desired = new DesiredStateKeeper({
      machineId: uuidBytes(machineId),
      directory,
      log: silentLogger,
      verifyCloud: () => node.publicKey,
      apply: async (state) => {
        const secretFailures = await this.vault.admit(state);
        this.failures = secretFailures.map(({ sensor, field, problem }) => [`${sensor}/${field}`, problem]);
        return { failures: [], secretFailures };
      },
    });
    await this.desired.load();
  }

  async enter(sensor: string, plaintext: string): Promise<void> {
    const { place, sealingKey } = this.cloud.inventory.secrets.prepare(sensor, 'token');
    await this.cloud.inventory.secrets.put(sensor, await sealSecret(sealingKey, place, Buffer.from(plaintext)));
  }

  /** What the cloud would send now. */
  get wanted(): DesiredState {
    const state = this.cloud.inventory.machines.desiredState(this.hub);
    if (!state) throw new Error('no state');
    return DesiredState.decode(DesiredState.encode(state).finish());
  }

  receive(state: DesiredState = this.wanted) {
    const signed = signContent(node, TAGS.DESIRED_STATE, DesiredState.encode(state).finish());
    return this.desired.receive(SignedByCloud.fromPartial({ signed, certificate: Buffer.alloc(1) }));
  }

  /** What the sensors get to see, with what is in effect. */
  async plaintexts(): Promise<string[]> {
    const found: string[] = [];
    for (const sensor of this.desired.running?.sensors ?? []) {
      const target = secretsOf({ kind: sensor.kind, settings: sensor.settings ?? {} })?.target ?? {};
      for (const secret of sensor.secrets) {
        const text = this.vault.open(sensor.number, secret, target).then(String, (thrown: Error) => thrown.message);
        found.push(await text);
      }
    }
    return found;
  }

  async keyFiles(): Promise<string[]> {
    return (await readdir(this.directory)).filter((name) => name.startsWith('sealing'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cloud[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true });
  }
}

describe('hub: vault', () => {
  it('opens what is sealed for its sensors, also from disk after a start', async () => {
    await using site = await Site.start(2);
    expect((await site.receive()).secretFailures).to.deep.equal([]);
    const all = site.sensors.map((sensor) => `secret of ${sensor}`);
    expect(await site.plaintexts()).to.deep.equal(all);
    await site.boot();
    expect(await site.plaintexts()).to.deep.equal(all);
    const memory = await readFile(join(site.directory, 'secrets.json'), 'utf8');
    expect(memory).to.not.contain('secret of');
    expect(Object.keys(JSON.parse(memory).versions)).to.have.length(2);
  });

  it('compares the target with its own configuration: nothing is redirected', async () => {
    await using site = await Site.start();
    const state = site.wanted;
    const [sensor] = state.sensors.slice(-1);
    if (!sensor) throw new Error('no sensor');
    // A cloud that points the sensor elsewhere, with and without the matching words about the target.
    sensor.settings = { url: 'https://evil.example/', auth: 'bearer' };
    const told = sensor.secrets[0]?.target ?? [];
    expect((await site.receive(state)).secretFailures[0]?.problem).to.equal(SecretProblem.OTHER_TARGET);
    expect((await site.plaintexts())[0]).to.match(/^the token was entered for another target: enter it again$/);
    for (const part of told) if (part.name === 'origin') part.value = 'https://evil.example';
    expect((await site.receive({ ...state, version: state.version + 1 })).secretFailures[0]?.problem).to.equal(
      SecretProblem.CANNOT_OPEN,
    );
  });

  it('swaps nothing between sensors, and opens nothing that was changed', async () => {
    await using site = await Site.start(2);
    const state = site.wanted;
    const [one, two] = state.sensors.slice(-2);
    if (!one?.secrets[0] || !two?.secrets[0]) throw new Error('no secrets');
    [one.secrets, two.secrets] = [two.secrets, one.secrets];
    const { secretFailures } = await site.receive(state);
    expect(secretFailures.map(({ problem }) => problem)).to.deep.equal([
      SecretProblem.CANNOT_OPEN,
      SecretProblem.CANNOT_OPEN,
    ]);
  });

  it('opens nothing that is sealed to a key of somebody else', async () => {
    await using site = await Site.start(2);
    const stranger = site.wanted;
    for (const { secrets } of stranger.sensors) for (const secret of secrets) secret.sealingKeyId = Buffer.alloc(8);
    const later = await site.receive(stranger);
    expect(later.secretFailures.map(({ problem }) => problem)).to.deep.equal([
      SecretProblem.UNKNOWN_KEY,
      SecretProblem.UNKNOWN_KEY,
    ]);
  });

  it('remembers the highest version: neither an older secret nor a removed one comes back', async () => {
    await using site = await Site.start();
    const [sensor = ''] = site.sensors;
    await site.receive();
    const old = site.wanted;
    await site.enter(sensor, 'newer');
    await site.receive();
    expect(await site.plaintexts()).to.deep.equal(['newer']);
    // As a cloud that was restored would: the old secret in a state with a higher number.
    const restored = (by: number) => ({ ...old, version: site.wanted.version + by });
    for (const by of [1, 2]) {
      await site.boot();
      await site.receive(restored(by));
      expect(site.failures.map(([, problem]) => problem)).to.deep.equal([SecretProblem.ROLLED_BACK]);
      expect((await site.plaintexts())[0]).to.match(/is older than one that was here before: enter it again$/);
    }
    // Removed, and brought back.
    const none = { ...old, version: site.wanted.version + 3, sensors: [] };
    await site.receive(none);
    await site.boot();
    await site.receive(restored(4));
    expect(site.failures.map(([, problem]) => problem)).to.deep.equal([SecretProblem.ROLLED_BACK]);
    await site.cloud.inventory.reports.raiseConfigVersion(site.hub, site.desired.version);
    await site.enter(sensor, 'entered again');
    await site.receive();
    expect(await site.plaintexts()).to.deep.equal(['entered again']);
  });

  it('goes on without its memory when that is damaged, and sets it aside', async () => {
    await using site = await Site.start();
    await site.receive();
    await writeFile(join(site.directory, 'secrets.json'), '{"v":1,"se');
    await site.boot();
    expect(await site.plaintexts()).to.have.length(1);
    expect(await readdir(site.directory)).to.include('secrets.json.damaged');
  });
});

/** What happens in a rotation, in order; a process may end before and after each. */
const STEPS = [
  'asked',
  'state sent',
  'wish on disk',
  'sealed anew',
  'answer delivered',
  'taken over',
  'new state sent',
  'new state on disk',
  'old key gone',
] as const;
type Step = (typeof STEPS)[number];

class Killed extends Error {}

/** One session, as far as a rotation is concerned; `at` may end it. */
async function session(site: Site, at: (step: Step) => void): Promise<void> {
  const { vault, desired, cloud } = site;
  const identity = site.enrolled.machine.key.publicKey;
  await vault.settle(desired.running);
  await cloud.inventory.sealing.announced(site.hub, vault.statements(), identity);
  const answer = async () => {
    const signed = await vault.answer(desired.running);
    if (!signed) return;
    at('sealed anew');
    expect(verifySigned(identity, TAGS.RESEALED, signed)).to.equal(true);
    at('answer delivered');
    if (await cloud.inventory.sealing.resealed(site.hub, Resealed.decode(signed.content), identity)) at('taken over');
  };
  await answer();
  while (site.wanted.version !== desired.version) {
    const last = !site.wanted.rotateSealingKey;
    at(last ? 'new state sent' : 'state sent');
    await site.receive();
    at(last ? 'new state on disk' : 'wish on disk');
    await vault.settle(desired.running);
    if (last) at('old key gone');
    await answer();
  }
}

describe('replacing a sealing key', () => {
  const finished = async (site: Site, old: Buffer) => {
    expect(site.cloud.machine(site.hub).rotating).to.equal(undefined);
    expect(await site.keyFiles()).to.deep.equal(['sealing.key']);
    const key = await openKeyFile(join(site.directory, 'sealing.key'), SealingKeyPair);
    expect(key.publicKey.equals(old)).to.equal(false);
    expect(site.cloud.machine(site.hub).sealing?.key).to.equal(key.publicKey.toString('base64'));
    expect(await site.plaintexts()).to.deep.equal(site.sensors.map((sensor) => `secret of ${sensor}`));
    expect(site.failures).to.deep.equal([]);
  };

  for (const victim of ['hub', 'cloud', 'both'] as const) {
    for (const step of STEPS) {
      it(`goes on when ${victim === 'both' ? 'both end' : `the ${victim} ends`} at: ${step}`, async () => {
        await using site = await Site.start(3);
        await session(site, () => undefined);
        const old = SealingKeyPair.fromPem(await readFile(join(site.directory, 'sealing.key'), 'utf8')).publicKey;
        let killed = 0;
        const at = (now: Step) => {
          if (now !== step || killed > 0) return;
          killed += 1;
          throw new Killed();
        };
        for (let tries = 0; tries < 3; tries++) {
          try {
            if (tries === 0) {
              await site.cloud.inventory.sealing.rotate(site.hub);
              at('asked');
            }
            await session(site, at);
            if (killed > 0 || step === 'asked') break;
          } catch (thrown) {
            if (!(thrown instanceof Killed)) throw thrown;
            if (victim !== 'cloud') await site.boot();
            if (victim !== 'hub') await site.cloud.restart();
            // Whatever has happened, the sensors go on.
            expect(await site.plaintexts()).to.deep.equal(site.sensors.map((sensor) => `secret of ${sensor}`));
          }
        }
        expect(killed, 'the step was there').to.equal(1);
        await finished(site, old);
      });
    }
  }

  it('goes on when the hub ends between writing the new key and removing its copy', async () => {
    await using site = await Site.start();
    await session(site, () => undefined);
    const old = SealingKeyPair.fromPem(await readFile(join(site.directory, 'sealing.key'), 'utf8')).publicKey;
    await site.cloud.inventory.sealing.rotate(site.hub);
    let next = '';
    await session(site, (step) => {
      if (step === 'sealed anew') next = join(site.directory, 'sealing.next.key');
      if (step === 'new state on disk') throw new Killed();
    }).catch(() => undefined);
    await writeFile(join(site.directory, 'sealing.key'), await readFile(next), { mode: 0o600 });
    await site.boot();
    await session(site, () => undefined);
    await finished(site, old);
  });

  it('takes in what is entered while it is under way', async () => {
    await using site = await Site.start();
    const [sensor = ''] = site.sensors;
    await session(site, () => undefined);
    await site.cloud.inventory.sealing.rotate(site.hub);
    await site.receive();
    const stale = await site.vault.answer(site.desired.running);
    await site.enter(sensor, `secret of ${sensor}`);
    const identity = site.enrolled.machine.key.publicKey;
    const content = Resealed.decode(stale?.content ?? Buffer.alloc(0));
    expect(await site.cloud.inventory.sealing.resealed(site.hub, content, identity)).to.equal(false);
    await session(site, () => undefined);
    await finished(site, Buffer.from(content.oldKey));
  });

  it('would be missed when nothing were sealed anew (negative control)', async () => {
    await using site = await Site.start();
    await session(site, () => undefined);
    const old = SealingKeyPair.fromPem(await readFile(join(site.directory, 'sealing.key'), 'utf8')).publicKey;
    let wrong = 'finished';
    await finished(site, old).catch((thrown: Error) => {
      wrong = thrown.message;
    });
    expect(wrong).to.not.equal('finished');
  });
});
