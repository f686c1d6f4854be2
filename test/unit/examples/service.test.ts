// The example for services runs, and does what it says.
import { expect } from 'chai';
import { Event } from '../../../gen/occmesh/events/v1/events.js';
import { connect } from '../../../src/client/index.js';
import { ApiFault, ContractFault } from '../../../src/contract/fault.js';
import { addCustomer, follow, overview } from '../../../src/examples/service.js';
import { Scope } from '../../../src/kernel/scope.js';
import { API_TOKEN, FakeCloud } from '../cli/fake-cloud.js';

describe('the example for services', () => {
  let scope: Scope;
  beforeEach(() => {
    scope = new Scope();
  });
  afterEach(() => scope.stop());

  const start = async () => {
    const cloud = await FakeCloud.start(scope);
    const client = connect({ cloud: cloud.address, ca: cloud.ca, token: API_TOKEN });
    scope.defer(() => client.close());
    return { cloud, client };
  };

  it('shows who there is and who is not well', async () => {
    const { client } = await start();
    const lines: string[] = [];
    await overview(client, (line) => lines.push(line));
    expect(lines).to.include('customer Acme');
    expect(
      lines.some((line) => /^ {2}\S+ is ONLINE, 2 sensors, 1 of them not well$/.test(line)),
      lines.join('\n'),
    ).to.equal(true);
    expect(lines.some((line) => /^ {4}sensor \d+: CRITICAL/.test(line))).to.equal(true);
  });

  it('adds a customer once, whatever happens on the way, and knows when there is one', async () => {
    const { cloud, client } = await start();
    cloud.failNext = new ContractFault('contract.unavailable', 'away');
    expect(await addCustomer(client, 'New')).to.be.a('string');
    const ids = cloud.asked('createCustomer').map((request) => (request as { requestId: string }).requestId);
    expect(ids).to.have.length(2);
    expect(new Set(ids).size, 'the same request').to.equal(1);
    cloud.failNext = new ApiFault('api.already-exists', 'there is one');
    expect(await addCustomer(client, 'New')).to.equal(undefined);
  });

  it('follows what happens over a lost connection, each event once', async () => {
    const { cloud, client } = await start();
    cloud.content.breaksAfter = 1;
    cloud.content.events.push(...[1, 2, 3].map((position) => Event.fromPartial({ position })));
    const over = new AbortController();
    const seen: number[] = [];
    for await (const { position } of follow(client, over.signal, 1)) {
      seen.push(position);
      if (seen.length === 3) over.abort();
    }
    expect(seen).to.deep.equal([1, 2, 3]);
  });
});
