// The signed desired state: what a hub takes, what it keeps, and what it does with a bad one.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { DesiredState, SignedByCloud } from '../../../gen/occmesh/link/v1/link.js';
import { DesiredStateKeeper } from '../../../src/hub/desired-state.js';
import { signContent } from '../../../src/identity/signed.js';
import { TAGS } from '../../../src/identity/tags.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { days } from '../../../src/kernel/duration.js';
import { describe as describeError } from '../../../src/kernel/fault.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { LinkFault } from '../../../src/link/fault.js';
import { FakeClock } from '../../support/fake-clock.js';
import type { Member } from '../identity/fixtures.js';
import { type Cast, cast } from '../link/fixtures.js';

describe('hub: desired state', () => {
  let who: Cast;
  let directory: string;
  let clock: FakeClock;
  /** Versions that were put into effect, in order. */
  let applied: number[];
  /** Versions that cannot be applied. */
  let bad: Set<number>;
  before(async () => {
    who = await cast();
  });
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'desired-'));
    clock = new FakeClock();
    applied = [];
    bad = new Set();
  });
  afterEach(() => rm(directory, { recursive: true }));

  const newKeeper = () =>
    new DesiredStateKeeper({
      machineId: uuidBytes(who.hub.certificate.identity.machineId),
      directory,
      log: silentLogger,
      verifyCloud: (der, { allowExpired }) => {
        try {
          return who.trust.verify(der, clock.now(), { role: 'cloud', allowExpired }).key;
        } catch (cause) {
          throw new LinkFault('link.unauthentic', describeError(cause), { cause });
        }
      },
      apply: async ({ version }) => {
        if (bad.has(version)) throw new Error(`version ${version} is bad`);
        applied.push(version);
        return { failures: version === 77 ? [{ sensor: 1, error: 'no such program' }] : [], secretFailures: [] };
      },
    });

  const signed = (version: number, signer: Member = who.cloud, change: Partial<DesiredState> = {}): SignedByCloud => {
    const machineId = uuidBytes(who.hub.certificate.identity.machineId);
    const content = DesiredState.encode(DesiredState.fromPartial({ machineId, version, ...change })).finish();
    return { signed: signContent(signer.key, TAGS.DESIRED_STATE, content), certificate: signer.certificate.der };
  };

  const refusal = async (keeper: DesiredStateKeeper, state: SignedByCloud): Promise<unknown> =>
    keeper.receive(state).then(
      () => undefined,
      (thrown: unknown) => (thrown instanceof LinkFault ? thrown.code : thrown),
    );

  it('is applied, kept, and in effect again after a restart', async () => {
    const keeper = newKeeper();
    expect(await keeper.receive(signed(3))).to.deep.equal({
      version: 3,
      runningVersion: 3,
      error: '',
      failures: [],
      secretFailures: [],
    });
    const again = newKeeper();
    await again.load();
    expect([again.version, again.running?.version]).to.deep.equal([3, 3]);
    expect(applied).to.deep.equal([3, 3]);
  });

  it('reports sensors that fail alone', async () => {
    const { error, failures } = await newKeeper().receive(signed(77));
    expect([error, failures]).to.deep.equal(['', [{ sensor: 1, error: 'no such program' }]]);
  });

  for (const [name, forge] of [
    ['signed by a hub', () => signed(1, who.hub)],
    ['signed by a connector', () => signed(1, who.connector)],
    ['signed by the cloud of another mesh', () => signed(1, who.foreignCloud)],
    [
      'with the certificate of the cloud and the key of a connector',
      () => signed(1, { ...who.connector, certificate: who.cloud.certificate }),
    ],
    ['for another machine', () => signed(1, who.cloud, { machineId: Buffer.alloc(16, 9) })],
    ['without content', () => ({ signed: undefined, certificate: who.cloud.certificate.der })],
    [
      'signed for another purpose',
      () => {
        const { signed: right, certificate } = signed(1);
        return { signed: right && signContent(who.cloud.key, TAGS.GAP, right.content), certificate };
      },
    ],
    [
      'changed in one bit',
      () => {
        const state = signed(1);
        const { content } = state.signed ?? { content: new Uint8Array(0) };
        content[content.length - 1] = (content.at(-1) ?? 0) ^ 2;
        return state;
      },
    ],
  ] as const) {
    it(`is refused when it is ${name}`, async () => {
      const keeper = newKeeper();
      expect(await refusal(keeper, forge())).to.equal('link.unauthentic');
      expect(applied).to.have.length(0);
      expect(keeper.version).to.equal(0);
      expect(await readdir(directory)).to.have.length(0);
    });
  }

  it('is not taken when it is older than what was seen, or than what the cloud says there is', async () => {
    const keeper = newKeeper();
    await keeper.receive(signed(5));
    const older = await keeper.receive(signed(4));
    expect(older).to.include({ version: 4, runningVersion: 5 });
    expect(older.error).to.contain('5');
    // A hub whose file was lost has seen nothing; its session says what there is.
    await rm(join(directory, 'desired-state'));
    const forgetful = newKeeper();
    await forgetful.load();
    forgetful.expect(5);
    expect(forgetful.version, 'it does not claim to have it').to.equal(0);
    expect((await forgetful.receive(signed(4))).error).to.contain('5');
    expect((await forgetful.receive(signed(5))).error).to.equal('');
    expect(applied).to.deep.equal([5, 5]);
  });

  it('stays the last good one when a new one cannot be applied, now and after a restart', async () => {
    const keeper = newKeeper();
    await keeper.receive(signed(1));
    bad.add(2);
    const report = await keeper.receive(signed(2));
    expect(report).to.include({ version: 2, runningVersion: 1 });
    expect(report.error).to.contain('bad');
    expect(applied).to.deep.equal([1, 1]);
    expect([keeper.version, keeper.running?.version]).to.deep.equal([2, 1]);
    const again = newKeeper();
    await again.load();
    expect(again.running?.version).to.equal(1);
  });

  it('is reported, too, when not even the last good one can be applied again', async () => {
    const keeper = newKeeper();
    await keeper.receive(signed(1));
    bad.add(1).add(2);
    expect(await keeper.receive(signed(2))).to.include({ version: 2, runningVersion: 1 });
  });

  it('is set aside when its file is damaged or not genuine, and a new one is taken', async () => {
    const path = join(directory, 'desired-state');
    const forged = SignedByCloud.encode(signed(9, who.connector)).finish();
    const genuine = SignedByCloud.encode(signed(9)).finish();
    const flipped = Uint8Array.from(genuine);
    flipped[20] = (flipped[20] ?? 0) ^ 1;
    for (const content of [forged, flipped, genuine.subarray(0, 40), new Uint8Array(0)]) {
      await writeFile(path, content);
      const keeper = newKeeper();
      await keeper.load();
      expect(keeper.running).to.equal(undefined);
      expect(await readFile(`${path}.damaged`)).to.deep.equal(Buffer.from(content));
      expect(await readdir(directory)).to.deep.equal(['desired-state.damaged']);
    }
    const keeper = newKeeper();
    await keeper.load();
    await keeper.receive(signed(9));
    expect(applied).to.deep.equal([9]);
  });

  it('stays good on disk when the certificate that it was signed with has expired, but no longer from a carrier', async () => {
    await newKeeper().receive(signed(1));
    await clock.advance(days(200));
    const keeper = newKeeper();
    await keeper.load();
    expect(keeper.running?.version).to.equal(1);
    expect(await refusal(keeper, signed(2))).to.equal('link.unauthentic');
  });

  it('is applied one after the other, also when two come at once', async () => {
    const keeper = newKeeper();
    const reports = await Promise.all([
      keeper.receive(signed(1)),
      keeper.receive(signed(2)),
      keeper.receive(signed(1)),
    ]);
    expect(reports.map(({ runningVersion }) => runningVersion)).to.deep.equal([1, 2, 2]);
    expect(applied).to.deep.equal([1, 2]);
  });
});
