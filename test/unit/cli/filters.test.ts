// What of a list is wanted, as it is said on the command line: the words of the contract, and what the cloud is asked for.
import { expect } from 'chai';
import { ALARM_CAUSES, type Choices, choice, MACHINE_STATES, ROLES, SENSOR_STATES } from '../../../src/cli/choices.js';
import { alarmCauseWord, machineStateWord, roleWord, sensorStateWord } from '../../../src/cli/output/words.js';
import { AlarmCause, MachineState, Role, SensorState, State } from '../../../src/client/index.js';
import { ACME, GATEWAY, GATEWAY_HUB, PC } from './fake-cloud.js';
import { Office } from './support.js';

describe('words of filters', () => {
  const all: readonly [string, Choices<number>, object, (value: number) => string][] = [
    ['machine states', MACHINE_STATES, MachineState, machineStateWord],
    ['sensor states', SENSOR_STATES, SensorState, sensorStateWord],
    ['causes', ALARM_CAUSES, AlarmCause, alarmCauseWord],
    ['roles', ROLES, { HUB: Role.HUB, CONNECTOR: Role.CONNECTOR }, roleWord],
  ];
  for (const [what, choices, values, shown] of all) {
    it(`of ${what}: all that can be, as they are shown, and as the contract writes them`, () => {
      const numbers = Object.values(values).filter((value) => typeof value === 'number' && value > 0);
      expect(Object.values(choices).sort()).to.deep.equal(numbers.sort());
      const read = choice(choices);
      for (const [word, value] of Object.entries(choices)) {
        const [name = ''] = Object.entries(values).find(([, other]) => other === value) ?? [];
        for (const text of [word, shown(value), name, ` ${name.toLowerCase()} `]) expect(read(text)).to.equal(value);
      }
      for (const text of ['', 'unspecified', 'unrecognized', 'toString', '1']) {
        expect(() => read(text), text).to.throw(`it must be one of ${Object.keys(choices).join(', ')}`);
      }
    });
  }
});

describe('operators: filters', () => {
  let office: Office;
  beforeEach(async () => {
    office = await Office.open();
  });
  afterEach(() => office[Symbol.asyncDispose]());

  async function done(...args: string[]): Promise<{ out: string; err: string }> {
    const { code, out, err } = await office.occ(...args);
    expect(code, err).to.equal(0);
    return { out, err };
  }
  const asked = (method: string) => office.cloud.asked(method)[0] as Record<string, unknown>;

  it('of machines', async () => {
    const filter = ['--state', 'lost', '--state', 'shut-down', '--role', 'hub', '--name-contains', 'Ber'];
    await done('machines', 'list', '--customer', 'acme', ...filter);
    expect(asked('listMachines')).to.deep.include({
      ...{ customerId: ACME, states: [MachineState.LOST, MachineState.SHUT_DOWN] },
      ...{ role: Role.HUB, nameContains: 'Ber', includeRetired: false },
    });
  });

  it('of machines: connectors that do not fit have their names all the same', async () => {
    const { out } = await done('machines', 'list', '--role', 'hub');
    expect(out).to.contain('via gw ').and.to.not.contain(GATEWAY);
  });

  it('of sensors', async () => {
    await done('sensors', 'list', '--state', 'stale', '--state', 'CRITICAL', '--kind', 'cpu', '--machine', 'acme/pc');
    expect(asked('listSensors')).to.deep.include({
      ...{ machineId: PC, states: [SensorState.STALE, SensorState.CRITICAL], kind: 'cpu' },
    });
  });

  it('of alarms', async () => {
    await done('alarms', '--min-severity', 'unknown', '--cause', 'lost', '--cause', 'flapping', '--closed');
    expect(asked('listAlarms')).to.deep.include({
      ...{ minSeverity: State.UNKNOWN, causes: [AlarmCause.LOST, AlarmCause.FLAPPING], includeClosed: true },
    });
  });

  it('of latest readings', async () => {
    await done('readings', 'latest', '--sensor', 'acme/pc/cpu', '--sensor', 'gw-hub/cpu');
    expect(asked('getLatest')).to.deep.include({
      ...{ customerId: '', machineId: '', sensorIds: [`${PC}/1`, `${GATEWAY_HUB}/1`] },
    });
    expect((await office.occ('readings', 'latest', '--sensor', 'cpu', '--machine', 'gw-hub')).code).to.equal(2);
  });

  it('of nothing, where nothing was said', async () => {
    for (const list of ['machines', 'sensors', 'alarms']) await done(list, 'list');
    await done('readings', 'latest');
    const nothing = { states: [], role: 0, nameContains: '', kind: '', minSeverity: 0, causes: [], sensorIds: [] };
    for (const method of ['listMachines', 'listSensors', 'listAlarms', 'getLatest']) {
      for (const [field, value] of Object.entries(asked(method))) {
        if (field in nothing) expect(value, `${method}.${field}`).to.deep.equal(nothing[field as keyof typeof nothing]);
      }
    }
  });

  it('that nobody knows are refused before anything is asked, with what there is', async () => {
    const wrong: readonly [readonly string[], string][] = [
      [['machines', 'list', '--state', 'gone'], 'never-seen, online, lost, shut-down'],
      [['machines', 'list', '--role', 'cloud'], 'must be one of hub, connector'],
      [['sensors', 'list', '--state', 'ok', '--state', 'bad'], 'initialising, ok, warning'],
      [['alarms', 'list', '--min-severity', 'ok'], 'must be one of warning, unknown, critical'],
      [['alarms', 'list', '--cause', 'fire'], 'sensor, stale, flapping, lost, quarantined'],
    ];
    for (const [args, words] of wrong) {
      const { code, err } = await office.occ(...args);
      expect({ code, lower: err.includes(words) }, `${args.join(' ')}: ${err}`).to.deep.equal({ code: 2, lower: true });
    }
    expect(office.cloud.calls).to.deep.equal([]);
  });

  it('that nothing fits say so, and a kind that may be a slip is named', async () => {
    office.cloud.content.machines.length = 0;
    office.cloud.content.sensors.length = 0;
    office.cloud.content.alarms.length = 0;
    const note = async (...args: string[]) => (await done(...args)).err;
    expect(await note('machines', 'list', '--state', 'lost')).to.equal('No machine fits.\n');
    expect(await note('machines', 'list')).to.contain('There is no machine yet');
    expect(await note('sensors', 'list', '--kind', 'cpu')).to.equal('No sensor fits.\n');
    expect(await note('sensors', 'list', '--kind', 'pign'))
      .to.contain('known here: cpu, ')
      .and.to.contain('ping');
    expect(await note('alarms', '--cause', 'lost')).to.equal('There is no open alarm that fits.\n');
    expect(await office.json('sensors', 'list', '--kind', 'pign')).to.deep.equal([]);
  });
});
