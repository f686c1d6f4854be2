// Requests with few ids in any order, at the same time, with failing writes and restarts in between: each id has exactly
// one effect, and whoever is answered is answered the same.
import { expect } from 'chai';
import fc from 'fast-check';
import type { Sensor } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { testSeed } from '../../../support/seeded-random.js';
import { faultOf, OPERATOR, TestApi } from './fixture.js';

const requestId = fc.constantFrom('a', 'b', 'c');
const step = fc.oneof(
  fc.record({ do: fc.constant('call' as const), ids: fc.array(requestId, { minLength: 1, maxLength: 4 }) }),
  fc.record({ do: fc.constant('fail' as const), ids: fc.tuple(requestId) }),
  fc.record({ do: fc.constant('restart' as const), ids: fc.constant([]) }),
);

describe('API: repeated requests, in any order', () => {
  it(`have one effect and one answer (TEST_SEED=${testSeed})`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await using api = await TestApi.start();
        const { record } = await api.cloud.enrolled((await api.cloud.customer('one')).id, 'hub');
        const before = [...api.cloud.inventory.sensors.of(record.id)].length;
        const made = new Map<string, Sensor>();
        const create = (id: string) =>
          api.call('createSensor', OPERATOR, { machineId: record.id, kind: 'load', requestId: id });
        for (const one of steps) {
          if (one.do === 'restart') await api.cloud.restart();
          if (one.do === 'fail') {
            const [id = ''] = one.ids;
            // What has been done needs no write.
            if (made.has(id)) continue;
            api.cloud.store.failNextWrite();
            expect(await faultOf(create(id))).to.match(/^storage\.write-failed/);
          }
          if (one.do === 'call') {
            const answers = await Promise.all(one.ids.map(create));
            for (const [i, id] of one.ids.entries()) {
              expect(answers[i]).to.deep.equal(made.get(id) ?? answers[one.ids.indexOf(id)]);
              made.set(id, answers[i] as Sensor);
            }
          }
          expect([...api.cloud.inventory.sensors.of(record.id)]).to.have.length(before + made.size);
        }
        expect(new Set([...made.values()].map(({ number }) => number)).size).to.equal(made.size);
      }),
      { seed: testSeed, numRuns: 25 },
    );
  });
});
