// Tenancy: for every RPC of inventory.v1, secrets.v1 and events.v1, what belongs to another customer is answered exactly
// like what does not exist, and stays as it was. Streams and readings: tenancy-streams.test.ts. That no RPC and no id is
// left out: tenancy-coverage.test.ts.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import type { Principal } from '../../../../src/contract/callers.js';
import { adminOf, boundTo, DEFINITIONS, faultOf, OPERATOR, type Rpc, readerOf, TestApi, toldApart } from './fixture.js';
import { ANY, NAMING, nonexistent, populated } from './naming.js';

const RPCS = Object.keys(DEFINITIONS) as Rpc[];

describe('API: tenancy', () => {
  it('looks at every RPC', () => {
    expect(RPCS).to.have.length(34);
    expect(RPCS.filter((rpc) => NAMING[rpc](ANY).length === 0)).to.deep.equal([
      'createCustomer',
      'listCustomers',
      'listSensorKinds',
    ]);
  });

  for (const rpc of RPCS.filter((one) => NAMING[one](ANY).length > 0)) {
    it(`${rpc}: what is another customer's does not exist`, async () => {
      await using api = await TestApi.start();
      const [own, foreign] = [await populated(api, 'own'), await populated(api, 'foreign')];
      const known = { machineId: foreign.machine, kind: 'cpu', requestId: 'known' };
      await api.call('createSensor', adminOf(foreign.customer), known);
      const [theirs, none] = [NAMING[rpc](foreign), NAMING[rpc](nonexistent(api.cloud))];
      const by = (principal: Principal) => (request: object) => api.call(rpc, principal, request);
      for (const principal of boundTo(own.customer)) {
        const before = await api.cloud.dump();
        expect(await toldApart(by(principal), theirs, none)).to.deep.equal([]);
        expect((await api.cloud.dump()).equals(before)).to.equal(true);
        expect(api.commands).to.deep.equal([]);
      }
      // The same requests do work for whoever may: the refusals above are not for another reason.
      for (const request of NAMING[rpc](own))
        expect(await faultOf(api.call(rpc, adminOf(own.customer), request))).to.equal('no fault');
      // Negative control: a handler that forgets to look does for anybody what it does for operators.
      expect(await toldApart(by(OPERATOR), theirs, none)).to.have.length(theirs.length);
      for (const request of none)
        expect(await faultOf(api.call(rpc, OPERATOR, { ...request, requestId: '' }))).to.match(/^inventory\.not-found/);
    });
  }

  it('lists show one customer to whom is bound to it, and all to operators', async () => {
    await using api = await TestApi.start();
    const [own, foreign] = [await populated(api, 'own'), await populated(api, 'foreign')];
    const customerIds = async (principal = OPERATOR) => {
      const { customers } = await api.call('listCustomers', principal, {});
      const { machines } = await api.call('listMachines', principal, {});
      const { sensors } = await api.call('listSensors', principal, {});
      const { tokens } = await api.call('listTokens', principal, {});
      const ofMachine = new Map(machines.map((machine) => [machine.id, machine.customerId]));
      return [
        customers.map(({ id }) => id),
        machines.map(({ customerId }) => customerId),
        sensors.map(({ machineId }) => ofMachine.get(machineId)),
        tokens.map(({ customerId }) => customerId),
      ].map((ids) => [...new Set(ids)].sort());
    };
    const [one, both] = [[own.customer], [own.customer, foreign.customer].sort()];
    expect(await customerIds(readerOf(own.customer))).to.deep.equal([one, one, one, one]);
    expect(await customerIds()).to.deep.equal([both, both, both, both]);
    const mixed = { customerId: own.customer, machineId: foreign.machine };
    expect((await api.call('listSensors', OPERATOR, mixed)).sensors).to.deep.equal([]);
  });

  it('hides tokens of operators from administrators, who cannot make any', async () => {
    await using api = await TestApi.start();
    const own = await populated(api, 'own');
    const admin = adminOf(own.customer);
    const { token } = await api.call('createApiToken', OPERATOR, { caller: Caller.OPERATOR });
    expect((await api.call('listTokens', admin, {})).tokens.map(({ id }) => id)).to.not.include(token?.id);
    expect(await faultOf(api.call('revokeToken', admin, { id: token?.id ?? '' }))).to.match(/^inventory\.not-found/);
    expect(await faultOf(api.call('createApiToken', admin, { caller: Caller.OPERATOR }))).to.match(/^api\.denied/);
  });

  it('takes nobody without customer for an operator', async () => {
    await using api = await TestApi.start();
    await populated(api, 'own');
    const lost = { kind: 'user', caller: Caller.CUSTOMER_ADMIN, tokenId: 'x' } as const;
    for (const principal of [lost, { ...lost, customerId: '' }, { kind: 'anonymous' } as const]) {
      for (const rpc of RPCS) {
        expect(await faultOf(api.call(rpc, principal, {})), rpc).to.match(/^api\.denied/);
      }
    }
  });
});
