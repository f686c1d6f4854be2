// How long calls took and how they ended, as a listener tells it: also those that were refused or given up.
import { expect } from 'chai';
import { EnrollmentServiceService } from '../../gen/occmesh/enrollment/v1/enrollment.js';
import { CustomerServiceService, ListCustomersRequest } from '../../gen/occmesh/inventory/v1/inventory.js';
import { LinkServiceService } from '../../gen/occmesh/link/v1/link.js';
import { ContractFault } from '../../src/contract/fault.js';
import type { FinishedCall } from '../../src/contract/timing.js';
import { until } from '../support/until.js';
import { Edge } from './edge.js';

const REQUEST = { encapsulatedKey: Buffer.alloc(0), ciphertext: Buffer.of(1) };

describe('the times of calls', () => {
  const calls: FinishedCall[] = [];
  const told = () => calls.splice(0).map(({ path, code }) => `${path.split('/')[2]} ${code}`);
  let edge: Edge;
  let fails = false;

  before(async () => {
    edge = await Edge.make({}, { onCall: (call) => calls.push(call) });
    const answer = async ({ ciphertext }: { ciphertext: Uint8Array }) => {
      if (fails) throw new ContractFault('contract.not-found', 'no');
      return { ciphertext };
    };
    edge.listener.add(EnrollmentServiceService, { enrol: answer, renew: answer });
    edge.listener.add(LinkServiceService, {
      link: async (stream) => {
        for await (const message of stream) stream.write(message);
      },
    });
    const nobody = () => Promise.reject(new Error('reached'));
    edge.listener.add(
      CustomerServiceService,
      Object.fromEntries(Object.keys(CustomerServiceService).map((name) => [name, nobody])) as never,
    );
    await edge.listener.start();
  });
  after(() => edge.scope.stop());

  it('are told once for each call, with its code', async () => {
    const channel = edge.channel();
    await channel.unary(EnrollmentServiceService.enrol, REQUEST);
    await until(() => calls.length === 1, 'the call is told');
    expect(calls[0]?.took).to.be.within(0, 5_000);
    expect(told()).to.deep.equal(['Enrol OK']);
    fails = true;
    await channel.unary(EnrollmentServiceService.renew, REQUEST).catch(() => undefined);
    expect(told()).to.deep.equal(['Renew NOT_FOUND']);
  });

  it('include what the access rules refuse', async () => {
    const thrown: unknown = await edge
      .channel()
      .unary(CustomerServiceService.listCustomers, ListCustomersRequest.fromPartial({}))
      .catch((fault: unknown) => fault);
    expect(thrown).to.be.instanceOf(ContractFault);
    expect(told()).to.deep.equal(['ListCustomers UNAUTHENTICATED']);
  });

  it('are of methods that are served: nobody fills a memory with names that he makes up', async () => {
    const channel = edge.channel();
    for (const path of ['/no.such.Service/Method', '/occmesh.enrollment.v1.EnrollmentService/MadeUp']) {
      const method = { ...EnrollmentServiceService.enrol, path } as unknown as typeof EnrollmentServiceService.enrol;
      const thrown: unknown = await channel.unary(method, REQUEST).catch((fault: unknown) => fault);
      expect(thrown).to.include({ code: 'contract.unimplemented' });
    }
    expect(told()).to.deep.equal([]);
  });

  it('of streams are told when they end, one way or the other', async () => {
    const hub = edge.channel('hub');
    const ended = hub.byteStream(LinkServiceService.link);
    await ended.write(Buffer.of(1));
    for await (const _ of ended) break;
    expect(told(), 'still open').to.deep.equal([]);
    ended.end();
    await until(() => calls.length > 0, 'the end of the stream is told');
    expect(told().map((call) => call.split(' ')[0])).to.deep.equal(['Link']);
    const left = hub.byteStream(LinkServiceService.link);
    await left.write(Buffer.of(1));
    for await (const _ of left) break;
    left.close(new ContractFault('contract.cancelled', 'enough'));
    await until(() => calls.length > 0, 'the end of the stream is told');
    expect(told()).to.deep.equal(['Link CANCELLED']);
  });
});
