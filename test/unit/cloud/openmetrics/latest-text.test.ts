// Which latest readings are told to Prometheus: what is known now, of those whom the caller may see.
import { expect } from 'chai';
import { Caller } from '../../../../gen/occmesh/access/v1/access.js';
import { MachineState } from '../../../../gen/occmesh/inventory/v1/inventory.js';
import { View } from '../../../../src/cloud/api/tenancy.js';
import { latestText } from '../../../../src/cloud/openmetrics/latest-text.js';
import type { Principal } from '../../../../src/contract/callers.js';
import { minutes } from '../../../../src/kernel/duration.js';
import { parseOpenMetrics } from '../../../support/openmetrics-text.js';
import { adminOf, faultOf, OPERATOR, readerOf } from '../api/fixture.js';
import { ScrapedCloud } from './fixture.js';

const LOAD = [{ name: 'load', unit: '%', value: 12.5 }];

describe('latest readings as OpenMetrics', () => {
  let scraped: ScrapedCloud;
  beforeEach(async () => {
    scraped = await ScrapedCloud.start();
  });
  afterEach(() => scraped[Symbol.asyncDispose]());

  const tell = (principal: Principal = OPERATOR, customer = '') => {
    const view = View.of(scraped.modules.inventory, principal);
    return parseOpenMetrics([...latestText(view, customer, scraped.modules)].join(''));
  };
  const samples = (name: string, principal?: Principal, customer?: string) =>
    tell(principal, customer).get(name)?.samples ?? [];
  const values = () => samples('occ_reading_value').map(({ value }) => value);

  it('tells values, times and states with whose they are', async () => {
    const { id } = await scraped.cloud.customer('Example "Ltd"');
    const { hub, sensor, name } = await scraped.hub(id);
    scraped.measured(hub, sensor, [...LOAD, { name: 'rate', unit: '1/s', value: 1e300 }]);
    const whose = { customer: 'Example "Ltd"', machine: hub.name, machine_id: hub.id };
    expect(samples('occ_reading_value').map(({ labels, value }) => [labels, value])).to.deep.equal([
      [{ ...whose, sensor: name, metric: 'load', unit: '%' }, 12.5],
      [{ ...whose, sensor: name, metric: 'rate', unit: '1/s' }, 1e300],
    ]);
    expect(samples('occ_reading_timestamp_seconds')).to.deep.equal([
      {
        name: 'occ_reading_timestamp_seconds',
        labels: { ...whose, sensor: name },
        value: scraped.cloud.clock.now() / 1_000,
      },
    ]);
    expect(samples('occ_machine_up').map(({ labels, value }) => [labels, value])).to.deep.equal([
      [{ ...whose, role: 'hub' }, 1],
    ]);
    const states = samples('occ_sensor_state');
    expect(states).to.have.length([...scraped.cloud.inventory.sensors.of(hub.id)].length);
    expect(tell().get('occ_sensor_state')?.help).to.contain('3 warning').and.to.not.contain('unspecified');
    expect(new Set(states.map(({ value }) => value))).to.deep.equal(new Set([3]));
  });

  it('gives others a turn also at what it leaves out: a hub may report sensors that there are not', async () => {
    const { id } = await scraped.cloud.customer('Example');
    const { hub } = await scraped.hub(id);
    const pieces = () => [...latestText(View.of(scraped.modules.inventory, OPERATOR), '', scraped.modules)];
    const before = pieces();
    for (let n = 1; n <= 1_000; n++) scraped.measured(hub, 1_000_000 + n, LOAD);
    const after = pieces();
    expect(after.join('')).to.equal(before.join(''));
    expect(after.length - before.length).to.equal(2 * 1_000);
  });

  it('leaves out what is not known now', async () => {
    const { id } = await scraped.cloud.customer('Example');
    const { hub, sensor } = await scraped.hub(id);
    const { sensors, machines, reports } = scraped.cloud.inventory;
    const record = [...sensors.of(hub.id)][0];
    if (!record) throw new Error('no sensor');
    const oldest = 2 * record.intervalMs + record.timeoutMs + minutes(1);
    scraped.measured(hub, sensor, LOAD, oldest + 1);
    expect(values(), 'too old').to.deep.equal([]);
    scraped.measured(hub, sensor, LOAD, oldest);
    expect(values()).to.deep.equal([12.5]);
    // By the clock of the hub.
    scraped.offsets.set(hub.id, -minutes(60));
    scraped.measured(hub, sensor, LOAD);
    expect(values()).to.deep.equal([12.5]);
    for (const state of [MachineState.LOST, MachineState.UNREACHABLE, MachineState.SHUT_DOWN, MachineState.UNKNOWN]) {
      scraped.states.set(hub.id, state);
      expect(values(), MachineState[state]).to.deep.equal([]);
      expect(samples('occ_sensor_state'), MachineState[state]).to.deep.equal([]);
      const up = samples('occ_machine_up').map(({ value }) => value);
      expect(up, MachineState[state]).to.deep.equal(state === MachineState.UNKNOWN ? [] : [0]);
      expect(samples('occ_machine_state').map(({ value }) => value)).to.deep.equal([state]);
    }
    scraped.states.delete(hub.id);
    await sensors.update(`${hub.id}/${sensor}`, { paused: true });
    expect(values(), 'paused').to.deep.equal([]);
    await sensors.update(`${hub.id}/${sensor}`, { paused: false });
    expect(values()).to.deep.equal([12.5]);
    await reports.setQuarantined(hub.id, 'cloned');
    expect(values(), 'in quarantine').to.deep.equal([]);
    await reports.setQuarantined(hub.id, undefined);
    expect(values()).to.deep.equal([12.5]);
    await sensors.remove(`${hub.id}/${sensor}`);
    expect(values(), 'removed').to.deep.equal([]);
    await machines.retire(hub.id);
    expect(
      [...tell().values()].flatMap(({ samples }) => samples),
      'retired',
    ).to.deep.equal([]);
  });

  it("tells nobody of another customer's", async () => {
    const [ours, theirs] = [await scraped.cloud.customer('ours'), await scraped.cloud.customer('theirs')];
    for (const { id } of [ours, theirs]) {
      const { hub, sensor } = await scraped.hub(id);
      scraped.measured(hub, sensor, LOAD);
    }
    const later = async (principal: Principal, customer = '') => tell(principal, customer);
    const whose = (principal: Principal, customer = '') => [
      ...new Set([...tell(principal, customer).values()].flatMap((of) => of.samples.map((one) => one.labels.customer))),
    ];
    expect(whose(OPERATOR)).to.have.members(['ours', 'theirs']);
    expect(whose(OPERATOR, theirs.id)).to.deep.equal(['theirs']);
    for (const principal of [readerOf(ours.id), adminOf(ours.id)]) {
      expect(whose(principal)).to.deep.equal(['ours']);
      expect(await faultOf(later(principal, theirs.id))).to.match(/^inventory.not-found: /);
    }
    const nobody: Principal = { kind: 'user', caller: Caller.CUSTOMER_READER, tokenId: 'x' };
    expect(await faultOf(later(nobody))).to.match(/^api.denied: /);
  });
});
