// What the generation that a hub presents says of it: every case of its table, and every walk of a healthy hub.
import { expect } from 'chai';
import { SessionRecord } from '../../../../gen/occmesh/store/v1/store.js';
import { judgeGeneration } from '../../../../src/cloud/sessions/session-record.js';
import { seededRandom, testSeed } from '../../../support/seeded-random.js';

const KEY = Buffer.alloc(8, 1);

describe(`sessions: generations (seed ${testSeed})`, () => {
  for (const [issued, confirmed, presented, verdict, what] of [
    [0, 0, 0, 'current', 'a hub that was never there'],
    [5, 5, 5, 'current', 'as it was left'],
    [6, 5, 6, 'current', 'it has the Welcome, the cloud has not heard of it since'],
    [6, 5, 5, 'current', 'its Welcome was lost'],
    [8, 5, 5, 'current', 'three Welcomes in a row were lost'],
    [1, 0, 0, 'current', 'its very first Welcome was lost'],
    [6, 6, 5, 'older', 'rolled back, or a clone, by one session'],
    [6, 5, 4, 'older', 'rolled back further than a lost Welcome explains'],
    [8, 5, 7, 'older', 'a generation that was given to somebody, and not the last'],
    [6, 6, 0, 'older', 'a disk that is empty'],
    [6, 6, 7, 'newer', 'the cloud was restored'],
    [0, 0, 3, 'newer', 'the cloud has lost everything'],
  ] as const) {
    it(`${verdict}: issued ${issued}, confirmed ${confirmed}, presented ${presented} (${what})`, () => {
      const record = SessionRecord.fromPartial({ issuedGeneration: issued, confirmedGeneration: confirmed });
      expect(judgeGeneration(record, presented, KEY)).to.equal(verdict);
    });
  }

  it('never mistakes a healthy hub, whatever is lost on the way', () => {
    const random = seededRandom(testSeed);
    let record = SessionRecord.fromPartial({});
    let written = 0;
    for (let session = 0; session < 10_000; session++) {
      const verdict = judgeGeneration(record, written, KEY);
      expect(verdict, `session ${session}`).to.equal('current');
      const generation = record.issuedGeneration + 1;
      record = { ...record, issuedGeneration: generation, confirmedGeneration: written };
      // The Welcome is lost; or it is written down and the first frame after it is lost; or all is well.
      const dice = random.uniform();
      if (dice < 0.3) continue;
      written = generation;
      if (dice > 0.6) record = { ...record, confirmedGeneration: generation };
    }
  });
});
