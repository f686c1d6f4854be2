// What `occ readings watch` and `occ alarms watch` survive.
import { expect } from 'chai';
import { Event } from '../../../gen/occmesh/events/v1/events.js';
import { MachineState } from '../../../src/client/index.js';
import { ApiFault } from '../../../src/contract/fault.js';
import { seconds } from '../../../src/kernel/duration.js';
import { FakeClock } from '../../support/fake-clock.js';
import { NOW } from './fake-cloud.js';
import { Office, occ } from './support.js';

/** Something to show in each of them, with a name in it that has to be asked for. */
const WATCHES = [
  { group: 'readings', shown: 'usage 99 %' },
  { group: 'alarms', shown: '→ lost' },
];

describe('cli: watching', () => {
  let office: Office;
  beforeEach(async () => {
    office = await Office.open();
    const [{ id = '' } = {}] = office.cloud.content.machines;
    const machine = { machineId: id, before: MachineState.ONLINE, after: MachineState.LOST };
    office.cloud.content.events = [
      Event.fromPartial({ position: 1, atMs: NOW, what: { $case: 'machine', value: machine } }),
    ];
  });
  afterEach(() => office[Symbol.asyncDispose]());

  for (const { group, shown } of WATCHES) {
    describe(group, () => {
      it('shows ids while nobody says what they are called, and goes on', async () => {
        office.cloud.failing.set('listMachines', new ApiFault('api.unavailable', 'not now'));
        const terminal = office.terminal();
        const running = occ([group, 'watch'], terminal);
        await terminal.stdout.shows(shown);
        terminal.interrupt();
        const { code, out, err } = await running;
        expect({ code, err }).to.deep.equal({ code: 0, err: '' });
        const [machine] = office.cloud.content.machines;
        expect(out)
          .to.match(/[0-9a-f]{8}-[0-9a-f]{4}-/)
          .and.not.to.contain(`${machine?.name}:`);
      });

      it('ends when it may not know what they are called', async () => {
        office.cloud.failing.set('listMachines', new ApiFault('api.denied', 'not for you'));
        const { code, err } = await office.occ(group, 'watch');
        expect(code).not.to.equal(0);
        expect(err).to.contain('not for you');
      });
    });
  }

  it('readings goes on after the last position once a connection is lost', async () => {
    office.cloud.content.breaksAfter = 2;
    const clock = new FakeClock(NOW);
    const terminal = office.terminal({ clock });
    const running = occ(['readings', 'watch'], terminal);
    await terminal.stderr.shows('going away; trying again\n');
    office.cloud.failing.set('watchReadings', new ApiFault('api.unavailable', 'still away'));
    office.cloud.content.breaksAfter = Number.POSITIVE_INFINITY;
    for (const reading of office.cloud.content.readings) reading.message = 'again, and well';
    await clock.advance(seconds(2));
    await terminal.stderr.shows('still away; trying again\n');
    await clock.advance(seconds(2));
    await terminal.stdout.shows('again, and well');
    terminal.interrupt();
    expect((await running).code).to.equal(0);
    const asked = office.cloud.asked('watchReadings') as { afterPosition: string }[];
    expect(asked.map(({ afterPosition }) => afterPosition)).to.deep.equal(['', 'p1', 'p1']);
  });
});
