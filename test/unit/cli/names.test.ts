// Names instead of ids: found when they mean one thing, refused with what there is when they do not.
import { expect } from 'chai';
import { CliFault } from '../../../src/cli/fault.js';
import { namedMachine, namedSensor, namesOf, pick } from '../../../src/cli/names.js';
import { ACME, content, GATEWAY, GATEWAY_HUB, LAPTOP, OTHER_PC, PC } from './fake-cloud.js';

const known = content();
const names = namesOf(known);
const machines = known.machines.map((machine) => namedMachine(machine, names));
const sensors = known.sensors.map((sensor) =>
  namedSensor(
    sensor,
    known.machines.find(({ id }) => id === sensor.machineId),
    names,
  ),
);

function refusal(find: () => unknown): CliFault {
  try {
    find();
  } catch (thrown) {
    if (thrown instanceof CliFault) return thrown;
    throw thrown;
  }
  throw new Error('it was found');
}

describe('names', () => {
  it('finds by id, name, letter case, and with the customer in front', () => {
    expect(pick('machine', LAPTOP, machines).id).to.equal(LAPTOP);
    expect(pick('machine', LAPTOP.toUpperCase(), machines).id).to.equal(LAPTOP);
    expect(pick('machine', 'laptop', machines).id).to.equal(LAPTOP);
    expect(pick('machine', 'LapTop', machines).id).to.equal(LAPTOP);
    expect(pick('machine', 'acme/pc', machines).id).to.equal(PC);
    expect(pick('machine', 'Birch & Co/pc', machines).id).to.equal(OTHER_PC);
  });

  it('prefers the exact letter case', () => {
    const things = [
      { id: '1', names: ['pc'] },
      { id: '2', names: ['PC'] },
    ];
    expect(pick('machine', 'PC', things).id).to.equal('2');
    expect(refusal(() => pick('machine', 'Pc', things)).code).to.equal('cli.ambiguous');
  });

  it('refuses a name that means two things, and lists them', () => {
    const fault = refusal(() => pick('machine', 'pc', machines));
    expect(fault.code).to.equal('cli.ambiguous');
    expect(fault.message).to.equal(`there is more than one machine "pc": Acme/pc (${PC}), Birch & Co/pc (${OTHER_PC})`);
    expect(fault.advice).to.equal('Give the id, or a longer name, such as "Acme/pc".');
  });

  it('tells a connector from the hub on it by the words that the refusal has', () => {
    const pair = known.machines.slice(0, 2).map((machine) => namedMachine({ ...machine, name: 'gw' }, names));
    const fault = refusal(() => pick('machine', 'gw', pair));
    expect(fault.message).to.contain(`connector Acme/gw (${GATEWAY}), hub Acme/gw (${GATEWAY_HUB})`);
    expect(fault.advice).to.equal('Give the id, or a longer name, such as "connector Acme/gw".');
    expect(pick('machine', 'connector gw', pair).id).to.equal(GATEWAY);
    expect(pick('machine', 'hub acme/gw', pair).id).to.equal(GATEWAY_HUB);
  });

  it('lists first what begins like what was wanted', () => {
    const many = Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, names: [`n${i}/cpu`] }));
    expect(refusal(() => pick('sensor', 'N17/exec', many)).advice).to.match(/^There is n17\/cpu, n1\/cpu, /);
  });

  it('refuses what there is not, and lists what there is', () => {
    const fault = refusal(() => pick('machine', 'server', machines));
    expect(fault.code).to.equal('cli.not-found');
    expect(fault.advice).to.equal('There is Acme/gw, Acme/gw-hub, Acme/pc, Acme/laptop, Birch & Co/pc.');
    expect(refusal(() => pick('machine', 'x', [])).advice).to.equal('There is no machine at all yet.');
    const many = Array.from({ length: 20 }, (_, i) => ({ id: `${i}`, names: [`n${i}`] }));
    expect(refusal(() => pick('machine', 'x', many)).advice).to.contain('n7 and 12 more.');
  });

  it('finds sensors by name, hub/name, customer/hub/name, number and id', () => {
    for (const wanted of ['Shop', 'pc/shop', 'acme/pc/Shop', 'pc/2', `${PC}/2`]) {
      expect(pick('sensor', wanted, sensors).id, wanted).to.equal(`${PC}/2`);
    }
    expect(refusal(() => pick('sensor', 'CPU', sensors)).code).to.equal('cli.ambiguous');
    expect(pick('sensor', 'pc/CPU', sensors).id).to.equal(`${PC}/1`);
  });

  it('lets an unknown id stand for itself', () => {
    expect(names.customer(ACME)).to.equal('Acme');
    expect(names.customer('x')).to.equal('x');
    expect(names.sensor(PC, 77)).to.equal('#77');
  });
});
