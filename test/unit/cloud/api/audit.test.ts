// The audit log: every change is on record with who, what and how it ended, and never with what was said.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import type { Audit, Event } from '../../../../gen/occmesh/events/v1/events.js';
import { MachineServiceService, TokenServiceService } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { OperationsServiceService } from '../../../../gen/occmesh/operations/v1/operations.js';
import { audited } from '../../../../src/cloud/api/audit.js';
import { InventoryFault } from '../../../../src/cloud/records/faults.js';
import { loadDescriptors } from '../../../../src/contract/descriptors.js';
import type { CallContext } from '../../../../src/contract/handlers.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { adminOf, OPERATOR, TestApi } from './fixture.js';

describe('API: audit', () => {
  let api: TestApi;
  beforeEach(async () => {
    api = await TestApi.start();
  });
  afterEach(() => api[Symbol.asyncDispose]());

  const modules = (ownerOf: (id: string) => string | undefined = () => undefined) => {
    const { journal, events } = api.monitoring;
    const changes = loadDescriptors().changes();
    return { changes, journal, events, inventory: api.cloud.inventory, ownerOf, log: silentLogger };
  };
  const context = (principal = OPERATOR) => ({ principal, peer: '192.0.2.1:5' }) as CallContext;
  const onRecord = async (): Promise<[Event, Audit][]> => {
    const events = await api.monitoring.events.readBack(undefined, Number.MAX_SAFE_INTEGER, 100);
    return events.flatMap((event) => (event.what?.$case === 'audit' ? [[event, event.what.value]] : []));
  };

  it('has who did what to what, and how it ended', async () => {
    const { id: customerId } = await api.cloud.customer('Example');
    const { record } = await api.cloud.enrolled(customerId, 'hub');
    const answers = { retireMachine: async () => ({ id: 'retired' }) };
    const machines = audited(MachineServiceService, answers as never, modules());
    const retire = machines.retireMachine as unknown as (q: object, c: CallContext) => Promise<object>;
    expect(await retire({ id: record.id }, context())).to.deep.equal({ id: 'retired' });
    const [[event, audit] = []] = await onRecord();
    expect(event).to.include({ customerId, atMs: api.cloud.clock.now() });
    expect(audit).to.deep.include({
      by: 'unnamed (o)',
      caller: Caller.OPERATOR,
      method: '/occmesh.inventory.v1.MachineService/RetireMachine',
      ids: [{ field: 'id', id: record.id }],
      status: 'OK',
      peer: '192.0.2.1:5',
    });
  });

  it('has what failed, with the status, and passes the error on', async () => {
    const { id: customerId } = await api.cloud.customer('Example');
    const fault = new InventoryFault('inventory.not-found', 'no such machine');
    const machines = audited(
      MachineServiceService,
      { releaseMachine: () => Promise.reject(fault) } as never,
      modules(),
    );
    const release = machines.releaseMachine as unknown as (q: object, c: CallContext) => Promise<object>;
    expect(await release({ id: 'x' }, context(adminOf(customerId))).catch((thrown) => thrown)).to.equal(fault);
    const [[event, audit] = []] = await onRecord();
    expect(event?.customerId).to.equal(customerId);
    expect(audit?.status).to.equal('NOT_FOUND');
  });

  it('has what an operator does on the record of the customer whose thing it was, also when it is gone by that', async () => {
    const { id: customerId } = await api.cloud.customer('Example');
    const owners = new Map([['alarm', customerId]]);
    const remove = async ({ id }: { id: string }) => owners.delete(id);
    const answers = { retireMachine: remove } as never;
    const machines = audited(
      MachineServiceService,
      answers,
      modules((id) => owners.get(id)),
    );
    const run = machines.retireMachine as unknown as (q: object, c: CallContext) => Promise<boolean>;
    expect(await run({ id: 'alarm' }, context())).to.equal(true);
    expect(await run({ id: 'alarm' }, context()), 'nobody has it any more').to.equal(false);
    expect((await onRecord()).map(([event]) => event.customerId)).to.deep.equal(['', customerId]);
  });

  it('has streams when they end, and whether anybody stayed to see it', async () => {
    const answers = {
      createBackup: async function* () {
        yield 1;
        yield 2;
      },
    };
    const operations = audited(OperationsServiceService, answers as never, modules());
    const backup = operations.createBackup as unknown as (q: object, c: CallContext) => AsyncIterable<number>;
    const seen: number[] = [];
    for await (const progress of backup({}, context())) seen.push(progress);
    for await (const progress of backup({}, context())) {
      seen.push(progress);
      break;
    }
    expect(seen).to.deep.equal([1, 2, 1]);
    // The newest first.
    expect((await onRecord()).map(([, { status }]) => status)).to.deep.equal(['CANCELLED', 'OK']);
  });

  it('has no content of any request, and nothing that only reads', async () => {
    const quiet = { createApiToken: async () => ({ text: 'canary-answer' }), listTokens: async () => ({}) };
    const tokens = audited(TokenServiceService, quiet as never, modules());
    const create = tokens.createApiToken as unknown as (q: object, c: CallContext) => Promise<object>;
    const list = tokens.listTokens as unknown as (q: object, c: CallContext) => Promise<object>;
    await create({ name: 'canary-name', customerId: '', requestId: 'canary-request', secret: 'canary' }, context());
    await list({ customerId: 'x' }, context());
    const records = await onRecord();
    expect(records).to.have.length(1);
    expect((await api.cloud.dump()).includes('canary')).to.equal(false);
    expect((await api.cloud.dump()).includes('CreateApiToken'), 'the control').to.equal(true);
  });

  it('does not keep anybody from what could not be put on record', async () => {
    const machines = audited(MachineServiceService, { retireMachine: async () => ({}) } as never, modules());
    const retire = machines.retireMachine as unknown as (q: object, c: CallContext) => Promise<object>;
    api.cloud.store.failNextWrite();
    expect(await retire({ id: 'x' }, context())).to.deep.equal({});
  });
});
