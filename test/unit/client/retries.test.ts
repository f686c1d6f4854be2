// Which calls are made again, how often, and when.
import { expect } from 'chai';
import fc from 'fast-check';
import { isRepeatable, persistently } from '../../../src/client/retries.js';
import { loadDescriptors } from '../../../src/contract/descriptors.js';
import { type ContractCode, ContractFault } from '../../../src/contract/fault.js';
import { milliseconds, seconds } from '../../../src/kernel/duration.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

describe(`client: retries (seed ${testSeed})`, () => {
  const fault = (code: ContractCode, more: ConstructorParameters<typeof ContractFault>[2] = {}) =>
    new ContractFault(code, 'no', more);

  /** Fails as told, then succeeds; returns when each try was made, and how it ended. */
  async function run(failures: readonly Error[], tries = 4, within = seconds(15), signal?: AbortSignal) {
    const clock = new FakeClock();
    const at: number[] = [];
    const left: number[] = [];
    let end: unknown;
    const call = persistently(
      async (remaining) => {
        at.push(clock.monotonic());
        left.push(remaining);
        const failure = failures[at.length - 1];
        if (failure) throw failure;
        return 'answer';
      },
      { within, ...(signal ? { signal } : {}) },
      { clock, random: seededRandom(testSeed), tries },
    ).then(
      (answer) => (end = answer),
      (thrown) => (end = thrown),
    );
    for (let i = 0; i < 100 && end === undefined; i++) {
      await clock.advance(milliseconds(500));
      await settle();
    }
    await call;
    return { at, left, end, armed: clock.armed };
  }

  it('goes on while the cloud cannot be reached, and no longer than it may', async () => {
    const away = fault('contract.unavailable');
    expect((await run([away, away, away])).end).to.equal('answer');
    const all = await run(Array(9).fill(away));
    expect(all.end).to.equal(away);
    expect(all.at).to.have.length(4);
    expect((await run([away], 1)).at, 'one try').to.have.length(1);
  });

  it('waits as long as it is asked to, or gives up at once where there is not the time', async () => {
    const patient = await run([fault('contract.exhausted', { retryAfter: seconds(3) })]);
    expect(patient.end).to.equal('answer');
    expect(patient.at[1]).to.be.at.least(3_000);
    expect(patient.left[1], 'what is left').to.be.at.most(12_000);
    const late = fault('contract.exhausted', { retryAfter: seconds(30) });
    expect(await run([late])).to.deep.include({ at: [0], end: late });
  });

  for (const [code, more] of [
    ['contract.exhausted', {}],
    ['contract.unavailable', { permanent: true }],
    ['contract.aborted', {}],
    ['contract.deadline', {}],
    ['contract.internal', {}],
    ['contract.not-found', { retryAfter: seconds(1) }],
  ] as const) {
    it(`tries once where it does not help: ${code} ${JSON.stringify(more)}`, async () => {
      const failure = fault(code, more);
      expect(await run([failure])).to.deep.include({ at: [0], end: failure, armed: 0 });
    });
  }

  it('stops waiting when it is cancelled', async () => {
    const over = new AbortController();
    over.abort();
    const away = fault('contract.unavailable');
    expect(await run([away, away], 4, seconds(15), over.signal)).to.deep.include({ at: [0], end: away, armed: 0 });
  });

  it('never takes longer than the call has, whatever it is asked to wait', async () => {
    const wait = fc.option(fc.integer({ min: 0, max: 20_000 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(fc.array(wait, { maxLength: 8 }), fc.integer({ min: 1, max: 20_000 }), async (waits, within) => {
        const failures = waits.map((ms) =>
          fault('contract.unavailable', ms === undefined ? {} : { retryAfter: milliseconds(ms) }),
        );
        const { at, left } = await run(failures, 9, milliseconds(within));
        for (const [n, when] of at.entries()) {
          expect(when).to.be.below(within);
          expect(left[n]).to.equal(within - when);
          const asked = waits[n - 1];
          if (asked !== undefined) expect(when - (at[n - 1] ?? 0)).to.be.at.least(asked);
        }
      }),
      { seed: testSeed, numRuns: 30 },
    );
  });

  it('repeats what changes nothing, and whatever has an id', () => {
    const descriptors = loadDescriptors();
    const changes = descriptors.changes();
    const ours = descriptors
      .methods()
      .filter(({ service }) => /inventory|events|readings|secrets|operations/.test(service));
    expect(ours.length).to.be.greaterThan(30);
    for (const { path } of ours) {
      expect(isRepeatable(path, {}), path).to.equal(!changes.has(path));
      expect(isRepeatable(path, { requestId: '' }), path).to.equal(!changes.has(path));
      expect(isRepeatable(path, { requestId: 'mine' }), path).to.equal(true);
    }
  });
});
