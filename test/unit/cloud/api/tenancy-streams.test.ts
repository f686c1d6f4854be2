// Tenancy of readings and of what is watched: as in tenancy.test.ts, up to the first answer.
import { expect } from 'chai';
import { adminOf, boundTo, faultOf, OPERATOR, TestApi, toldApart } from './fixture.js';
import { nonexistent, populated, STREAM_NAMING } from './naming.js';
import { firstAnswers, STREAM_DEFINITIONS, type StreamRpc } from './stream-fixture.js';

describe('API: tenancy of streams', () => {
  for (const rpc of Object.keys(STREAM_DEFINITIONS) as StreamRpc[]) {
    it(`${rpc}: what is another customer's does not exist`, async () => {
      await using api = await TestApi.start();
      const [own, foreign] = [await populated(api, 'own'), await populated(api, 'foreign')];
      const [theirs, none] = [foreign, nonexistent(api.cloud)].map((target) => STREAM_NAMING[rpc](target));
      if (!theirs || !none) throw new Error('no requests');
      const call = firstAnswers(api);
      for (const principal of boundTo(own.customer)) {
        expect(await toldApart((request) => call(rpc, principal, request), theirs, none)).to.deep.equal([]);
      }
      for (const request of STREAM_NAMING[rpc](own))
        expect(await faultOf(call(rpc, adminOf(own.customer), request))).to.equal('no fault');
      // Negative control, as there.
      const forgetful = await toldApart((request) => call(rpc, OPERATOR, request), theirs, none);
      expect(forgetful).to.have.length(theirs.length);
    });
  }
});
