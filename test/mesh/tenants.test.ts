// Customers are kept apart: by the connector, by the hub and by the cloud, when a session opens and in its midst. Real
// processes; the intruders are of the test's making, with real certificates of another customer.
import { expect } from 'chai';
import { Lane } from '../../gen/occmesh/link/v1/link.js';
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { Caller, connect } from '../../src/client/index.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { milliseconds, seconds } from '../../src/kernel/duration.js';
import type { CarrierAddress } from '../../src/membership/carrier.js';
import type { Membership } from '../../src/membership/machine-files.js';
import { enrolConnector, enrolHub, HandTrunk, LightHub, linkStream } from '../support/actors.js';
import { endMesh, expectExactlyOnce, LogMark, startMesh, untilPath, untilReports } from '../support/mesh-site.js';
import { until } from '../support/until.js';

describe('customers', () => {
  let mesh: LocalMesh;
  let hub: HubProcess;
  let otherCustomer: string;
  /** A member of our customer that never connects by itself. */
  let victim: Membership;
  let stranger: Membership;
  let cloud: CarrierAddress;
  let connector: CarrierAddress;

  before(async () => {
    mesh = await startMesh({ fallbackAfter: milliseconds(1_500) });
    await mesh.startConnector();
    connector = { address: `127.0.0.1:${mesh.connectorPort}`, role: 'connector' };
    cloud = { address: `127.0.0.1:${mesh.cloudPort}`, role: 'cloud' };
    hub = await mesh.addHub('hub', ['--no-multicast', '--connector', connector.address]);
    await mesh.quicken(hub.machineId, seconds(1));
    await untilPath(mesh, hub, 'connector');
    otherCustomer = await mesh.customer('other');
    stranger = await enrolHub(mesh, { customerId: otherCustomer });
    victim = await enrolHub(mesh);
  });
  after(() => endMesh(mesh));

  const storedFor = async (member: Membership): Promise<number> => {
    const { machineId } = member.certificate.identity;
    const { logs } = await mesh.client.readings.getLedger({ machineId });
    return logs.reduce((sum, { readingCount }) => sum + readingCount, 0);
  };

  it('a connector refuses a hub of another customer, and both hear why', async () => {
    const mark = await LogMark.now(mesh.connector);
    const fault = await linkStream(stranger, connector).closed;
    expect(fault?.code).to.equal('contract.denied');
    expect(fault?.message).to.match(/customer/);
    await mark.until(/customer.*a call was refused/);
  });

  it('a connector carries a hub of its own customer (so that the refusal means something)', async () => {
    const own = new LightHub(victim);
    expect(await own.connect(connector)).to.equal(undefined);
    await own.close();
  });

  it('a hub keeps away from a connector of another customer', async () => {
    const wrong = await mesh.addHub('wrong', ['--no-multicast', '--connector', connector.address], {
      customerId: otherCustomer,
    });
    await untilPath(mesh, wrong, 'direct');
    expect(await wrong.process.log()).to.match(/"route":"connector [^}]*customer[^}]*not a path/);
    await wrong.process.stop();
  });

  it('the cloud refuses to let a connector carry a hub of another customer', async () => {
    const theirs = await enrolConnector(mesh, { customerId: otherCustomer });
    const trunk = new HandTrunk(theirs.connector, cloud.address);
    await trunk.greet();
    const mark = await LogMark.now(mesh.cloud);
    const ending = await new LightHub(victim).connectOver(trunk.channel(1, victim.certificate.der));
    expect(ending?.code).to.equal(CloseCode.REFUSED);
    expect(ending?.message).to.match(/not of the customer of this connector/);
    await mark.until(/not of the customer.*hub refused/);
    // Only that channel is over.
    expect(await new LightHub(theirs.hub).connectOver(trunk.channel(2, theirs.hub.certificate.der))).to.equal(
      undefined,
    );
    await trunk.end();
  });

  it('the cloud refuses a Hello that speaks for another machine than its channel', async () => {
    const theirs = await enrolConnector(mesh, { customerId: otherCustomer });
    const trunk = new HandTrunk(theirs.connector, cloud.address);
    await trunk.greet();
    // A true Hello, by the victim's own key, on a channel that was opened for somebody else.
    const ending = await new LightHub(victim).connectOver(trunk.channel(1, theirs.hub.certificate.der));
    expect(ending?.code).to.equal(CloseCode.REFUSED);
    expect(ending?.message).to.match(/another machine/);
    await trunk.end();
  });

  it('the cloud ends a session in whose midst a batch comes that another machine has signed', async () => {
    const thief = new LightHub(stranger);
    expect(await thief.connect(cloud)).to.equal(undefined);
    await thief.report(1);
    const [mine, theirs] = [await storedFor(stranger), await storedFor(victim)];
    const mark = await LogMark.now(mesh.cloud);
    const forged = thief.batchOf([2], { key: victim.identity });
    thief.session?.sendContent({ $case: 'batch', value: forged.batch }, Lane.LIVE);
    const why = await thief.session?.ended;
    expect(why?.code).to.equal(CloseCode.UNAUTHENTIC);
    expect(why?.message).to.match(/signature/);
    await mark.until(/signature/);
    expect([await storedFor(stranger), await storedFor(victim)]).to.deep.equal([mine, theirs]);
  });

  it('an API token of a customer shows that customer and nobody else', async () => {
    const { text } = await mesh.client.tokens.createApiToken({
      caller: Caller.CUSTOMER_READER,
      customerId: otherCustomer,
    });
    const ca = stranger.trust.pems.join('');
    await using reader = connect({ cloud: cloud.address, ca, token: text });
    const { machines } = await reader.machines.listMachines({ pageSize: 1_000 });
    expect(new Set(machines.map(({ customerId }) => customerId))).to.deep.equal(new Set([otherCustomer]));
    const { readings } = await reader.readings.getLatest({});
    expect(readings.some(({ machineId }) => machineId === hub.machineId)).to.equal(false);
    const fault = await reader.readings.getLedger({ machineId: hub.machineId }).then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(fault).to.have.property('code', 'contract.not-found');
  });

  it('a customer may have so many calls and streams at once, and the others theirs', async () => {
    const { text: token } = await mesh.client.tokens.createApiToken({
      caller: Caller.CUSTOMER_READER,
      customerId: otherCustomer,
    });
    const ca = stranger.trust.pems.join('');
    const quit = new AbortController();
    const clients = [1, 2, 3].map(() => connect({ cloud: cloud.address, ca, token }));
    const refused: unknown[] = [];
    const streams = clients.flatMap((client) =>
      Array.from({ length: 70 }, async () => {
        try {
          for await (const _ of client.readings.watchReadings({}, { signal: quit.signal }));
        } catch (thrown) {
          if (quit.signal.aborted) return;
          refused.push(thrown);
        }
      }),
    );
    await until(() => refused.length >= 10, 'ten of 210 streams are refused');
    for (const fault of refused) expect(fault).to.include({ code: 'contract.exhausted', retryAfter: 1_000 });
    const { machines } = await mesh.client.machines.listMachines({});
    expect(machines.length, 'what others ask').to.be.greaterThan(0);
    quit.abort();
    await Promise.all(streams);
    expect(refused).to.have.length(10);
    for (const client of clients) client.close();
  });

  it('meanwhile nobody else has noticed anything', async () => {
    await untilReports(mesh, hub.machineId);
    await expectExactlyOnce(mesh, [hub]);
    expect(await hub.process.log()).to.not.match(/path is lost/);
  });
});
