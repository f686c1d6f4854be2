// The commands about alarms, maintenance, channels and the audit log against a cloud with canned answers, over real TLS.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Caller } from '../../../gen/occmesh/access/v1/access.js';
import { Event } from '../../../gen/occmesh/events/v1/events.js';
import { MachineState, SensorState, State } from '../../../src/client/index.js';
import { ApiFault } from '../../../src/contract/fault.js';
import { seconds } from '../../../src/kernel/duration.js';
import { FakeClock } from '../../support/fake-clock.js';
import { ACME, ALARM, BIRCH, GATEWAY, GATEWAY_HUB, id, LAPTOP, LOST_ALARM, NOW, OLD_ALARM, PC } from './fake-cloud.js';
import { Office, occ } from './support.js';

const HOUR = 3_600_000;

describe('operators: alarms', () => {
  let office: Office;
  beforeEach(async () => {
    office = await Office.open();
  });
  afterEach(() => office[Symbol.asyncDispose]());

  /** The text of a command that went well. */
  async function text(...args: string[]): Promise<string> {
    const { code, out, err } = await office.occ(...args);
    expect(code, err).to.equal(0);
    return out;
  }

  describe('alarms', () => {
    it('lists the open ones, with what is done about them', async () => {
      const lines = [
        'SEVERITY  CAUSE   WHERE        MESSAGE                RAISED   STATE                                      ID',
        `CRITICAL  sensor  Acme/pc/CPU  usage 99 % is over 98  10m ago  acknowledged by Eve: on my way, silenced for 1h  ${ALARM}`,
        `CRITICAL  lost    Acme/gw      no sign of life        1m ago   2 hubs unreachable                         ${LOST_ALARM}`,
      ];
      const out = await text('alarms', 'list');
      expect(
        out
          .trimEnd()
          .split('\n')
          .map((line) => line.replaceAll(/ {2,}/g, '  ')),
      ).to.deep.equal(lines.map((line) => line.replaceAll(/ {2,}/g, '  ')));
      expect(await text('alarms')).to.equal(out);
      const [first, , closed] = (await office.json('alarms', 'list', '--closed')) as object[];
      expect(first).to.deep.include({
        ...{ id: ALARM, customer: 'Acme', machine: 'pc', sensor: 'CPU', sensorId: `${PC}/1`, cause: 'sensor' },
        ...{ severity: 'CRITICAL', raisedAt: '2026-01-01T11:50:00.000Z', silencedUntil: '2026-01-01T13:00:00.000Z' },
        acknowledgement: { by: 'Eve (1)', at: '2026-01-01T11:59:00.000Z', comment: 'on my way' },
      });
      expect(closed).to.deep.include({ id: OLD_ALARM, closedAt: '2026-01-01T11:00:00.000Z' });
      await text('alarms', 'list', '--customer', 'birch & co', '--machine', 'laptop');
      expect(office.cloud.asked('listAlarms').at(-1)).to.deep.include({ customerId: BIRCH, machineId: LAPTOP });
    });

    it('shows what people said about them, where somebody did', async () => {
      expect(await text('alarms')).not.to.contain('COMMENT');
      const [first] = office.cloud.content.alarms;
      if (!first) throw new Error('no alarm');
      const said = (by: string, ago: number, comment: string) => ({ by, atMs: NOW - ago, comment });
      office.cloud.content.alarms[0] = {
        ...first,
        comments: [said('Eve (1)', HOUR, 'a disk is on its way'), said('Bob (2)', 60_000, 'came\nbroken')],
      };
      const lines = (await text('alarms')).split('\n').map((line) => line.trimEnd().replaceAll(/ {2,}/g, '  '));
      expect(lines.slice(-5)).to.deep.equal([
        '',
        'COMMENT  BY  WHEN  ID',
        `a disk is on its way  Eve  1h ago  ${ALARM}`,
        `came broken  Bob  1m ago  ${ALARM}`,
        '',
      ]);
    });

    it('says so when there is none', async () => {
      office.cloud.content.alarms.length = 0;
      expect(await office.occ('alarms')).to.deep.equal({ code: 0, out: '', err: 'There is no open alarm.\n' });
    });

    it('acknowledges, comments and silences, by a part of the id that only one has', async () => {
      await text('alarms', 'ack', ALARM, '--comment', 'mine');
      await text('alarms', 'ack', 'aabb');
      await text('alarms', 'comment', '0198b111', 'it was me');
      await text('alarms', 'silence', 'AABB', '--for', '2h');
      await text('alarms', 'silence', 'aaaa', '--until', '2026-01-02');
      await text('alarms', 'silence', 'aaaa', '--until', 'now');
      expect(office.cloud.asked('acknowledgeAlarm')).to.deep.equal([
        { id: ALARM, comment: 'mine' },
        { id: LOST_ALARM, comment: '' },
      ]);
      expect(office.cloud.asked('commentAlarm')).to.deep.equal([{ id: OLD_ALARM, comment: 'it was me' }]);
      expect(office.cloud.asked('silenceAlarm')).to.deep.equal([
        { id: LOST_ALARM, untilMs: NOW + 2 * HOUR },
        { id: ALARM, untilMs: Date.UTC(2026, 0, 2) },
        { id: ALARM, untilMs: NOW },
      ]);
    });

    it('changes nothing when it is not clear which, or for how long', async () => {
      const several = await office.occ('alarms', 'ack', '0198b000');
      expect(several.code).to.equal(9);
      expect(several.err).to.contain(`${ALARM}, ${LOST_ALARM}`);
      expect((await office.occ('alarms', 'ack', 'ffff')).code).to.equal(9);
      expect((await office.occ('alarms', 'ack', 'aaa')).code).to.equal(2);
      expect((await office.occ('alarms', 'silence', 'aaaa')).code).to.equal(2);
      expect((await office.occ('alarms', 'silence', 'aaaa', '--for', '1h', '--until', 'now')).code).to.equal(2);
      for (const rpc of ['acknowledgeAlarm', 'silenceAlarm']) expect(office.cloud.asked(rpc)).to.deep.equal([]);
    });
  });

  describe('watch', () => {
    const [alarm] = [{ $case: 'alarm' as const }];
    const happenings = () => {
      const [critical, , closed] = office.cloud.content.alarms;
      if (!critical || !closed) throw new Error('no alarms');
      const remarks = [
        { by: 'Eve (1)', atMs: NOW - 1, comment: 'of before' },
        { by: 'Adam (2)', atMs: NOW, comment: 'the fan is loud' },
      ];
      const machine = { machineId: LAPTOP, before: MachineState.ONLINE, after: MachineState.LOST };
      const delivery = { channelId: id(61), id: id(7), alarmIds: [ALARM], error: 'no answer' };
      const [maintenance] = office.cloud.content.maintenances;
      if (!maintenance) throw new Error('no maintenance');
      return [
        { ...alarm, value: { ...critical, comments: [...remarks] } },
        { ...alarm, value: closed },
        { $case: 'machine' as const, value: machine },
        { $case: 'maintenance' as const, value: maintenance },
        { $case: 'delivery' as const, value: delivery },
      ].map((what, i) => Event.fromPartial({ position: 10 + 2 * i, atMs: NOW, customerId: ACME, what } as never));
    };

    it('shows a line for everything, until Ctrl-C', async () => {
      office.cloud.content.events = happenings();
      const terminal = office.terminal();
      const running = occ(['alarms', 'watch', '--after', '0'], terminal);
      await terminal.stdout.shows('not told');
      terminal.interrupt();
      const { code, out, err } = await running;
      expect({ code, err }).to.deep.equal({ code: 0, err: '' });
      expect(
        out
          .trimEnd()
          .split('\n')
          .map((line) => line.slice(26)),
      ).to.deep.equal([
        'CRITICAL  Acme/pc/CPU  sensor  usage 99 % is over 98  acknowledged by Eve: on my way, silenced for 1h  Adam: the fan is loud',
        'CLOSED  Birch & Co/pc  quarantined  closed after 1h',
        'machine laptop: online → lost',
        'maintenance of gw, under way  new disks',
        `channel ${id(61)}: not told: no answer (1 alarm)`,
      ]);
    });

    it('goes on where it ended after a lost connection: each event once', async () => {
      office.cloud.content.events = happenings();
      office.cloud.content.breaksAfter = 2;
      const clock = new FakeClock(NOW);
      const terminal = office.terminal({ clock });
      const running = occ(['alarms', 'watch', '--json'], terminal);
      const lost = 'the cloud is being shut down; trying again\n';
      for (const told of [lost, lost + lost]) {
        await terminal.stderr.shows(told);
        await clock.advance(seconds(2));
      }
      await terminal.stdout.shows('"delivery"');
      terminal.interrupt();
      const { code, out, err } = await running;
      expect(code).to.equal(0);
      const positions = out
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as { position: number }).position);
      expect(positions).to.deep.equal([10, 12, 14, 16, 18]);
      expect(
        office.cloud.asked('watchEvents').map((asked) => (asked as { afterPosition: number }).afterPosition),
      ).to.deep.equal([undefined, 12, 16]);
      expect(err).to.equal(lost + lost);
    });

    it('does not try again what was refused, or never worked', async () => {
      office.cloud.failNext = new ApiFault('api.unavailable', 'not now');
      const never = await office.occ('alarms', 'watch', '--after', '5');
      expect(never).to.deep.equal({ code: 7, out: '', err: 'occ: not now\n' });
      const { code, err } = await office.occ('alarms', 'watch', '--customer', 'nobody');
      expect(code).to.equal(9);
      expect(err).to.contain('no customer');
    });
  });

  describe('maintenance', () => {
    it('lists what is planned and under way', async () => {
      expect(
        (await text('maintenance', 'list')).split('\n').map((line) => line.replaceAll(/ {2,}/g, '  ')),
      ).to.deep.equal([
        'OF  STATE  BEGINS  TAKES  ENDS  COMMENT  ID',
        `Acme/gw  under way  10m ago  1h  in 50m  new disks  ${id(51)}`,
        `Birch & Co  planned  0 3 * * 0 (Europe/Berlin)  2h  never  ${id(52)}`,
        '',
      ]);
      const [first] = (await office.json('maintenance', 'list')) as object[];
      expect(first).to.deep.include({ machine: 'gw', active: true, until: '2026-01-01T12:50:00.000Z' });
    });

    it('plans once, or by a schedule', async () => {
      await text('maintenance', 'plan', '--machine', 'gw', '--for', '2h', '--comment', 'disks');
      await text('maintenance', 'plan', '--customer', 'acme', '--from', '+1h', '--for', '30m');
      await text('maintenance', 'plan', '--customer', 'acme', '--until', '2026-01-03T00:00:00Z');
      const schedule = ['--cron', '0 3 * * 0', '--time-zone', 'Europe/Berlin', '--for', '2h'];
      await text('maintenance', 'plan', '--machine', 'gw', ...schedule);
      const none = { customerId: '', machineId: '', comment: '', fromMs: 0, untilMs: 0, schedule: undefined };
      expect(office.cloud.asked('createMaintenance')).to.deep.equal([
        { ...none, machineId: GATEWAY, comment: 'disks', untilMs: NOW + 2 * HOUR },
        { ...none, customerId: ACME, fromMs: NOW + HOUR, untilMs: NOW + 1.5 * HOUR },
        { ...none, customerId: ACME, untilMs: Date.UTC(2026, 0, 3) },
        {
          ...none,
          machineId: GATEWAY,
          schedule: { cron: '0 3 * * 0', timeZone: 'Europe/Berlin', durationMs: 2 * HOUR },
        },
      ]);
    });

    const unclear: string[][] = [
      ['--for', '1h'],
      ['--machine', 'gw', '--customer', 'acme', '--for', '1h'],
      ['--machine', 'gw'],
      ['--machine', 'gw', '--for', '1h', '--until', '+2h'],
      ['--machine', 'gw', '--cron', '0 3 * * 0'],
      ['--machine', 'gw', '--for', '1h', '--time-zone', 'Europe/Berlin'],
      ['--machine', 'gw', '--for', 'long'],
    ];
    for (const flags of unclear) {
      it(`plans nothing for "${flags.join(' ')}"`, async () => {
        expect((await office.occ('maintenance', 'plan', ...flags)).code).to.equal(2);
        expect(office.cloud.asked('createMaintenance')).to.deep.equal([]);
      });
    }

    it('says where ids are when one is wrong', async () => {
      for (const [wrong, exit] of [
        ['gw', 2],
        ['nonsense', 9],
      ] as const) {
        const { code, err } = await office.occ('maintenance', 'end', wrong);
        expect(code).to.equal(exit);
        expect(err).to.contain('last column of the list');
      }
    });

    it('ends one', async () => {
      const { code, err } = await office.occ('maintenance', 'end', '0051');
      expect({ code, err }).to.deep.equal({ code: 0, err: 'The maintenance of Acme/gw has ended.\n' });
      expect(office.cloud.asked('endMaintenance')).to.deep.equal([{ id: id(51) }]);
    });
  });

  describe('channels', () => {
    it('lists them', async () => {
      expect((await text('channels', 'list')).split('\n').map((line) => line.replaceAll(/ {2,}/g, '  '))).to.deep.equal(
        [
          'NAME  CUSTOMER  TO  FROM  WAITING  ERROR  ID',
          `desk  Acme  https://hook.example/  WARNING after 30s  3  no answer  ${id(61)}`,
          `night  (all)  a@b.example, c@d.example  CRITICAL after 0ms  0  ${id(62)}`,
          '',
        ],
      );
      const [, night] = (await office.json('channels', 'list')) as object[];
      expect(night).to.deep.include({ email: ['a@b.example', 'c@d.example'], minSeverity: 'CRITICAL', deferMs: 0 });
    });

    it('adds a webhook; its key is printed once, or in a file and nowhere else', async () => {
      const add = ['channels', 'add-webhook', 'desk', 'https://hook.example/', '--customer', 'acme'];
      const { out, err } = await office.occ(...add, '--min-severity', 'critical', '--defer', '2m');
      expect(out).to.contain(`key ${'ab'.repeat(32)}\n`);
      expect(err).to.contain('not shown again');
      const way = { $case: 'webhook', value: { url: 'https://hook.example/' } };
      expect(office.cloud.asked('createChannel')).to.deep.equal([
        { customerId: ACME, name: 'desk', way, minSeverity: State.CRITICAL, deferMs: 120_000 },
      ]);
      const filed = await office.occ(...add, '--out', 'hook.key');
      expect(filed.code, filed.err).to.equal(0);
      expect(filed.out + filed.err).to.not.contain('abab');
      expect(await readFile(join(office.folder, 'hook.key'), 'utf8')).to.equal(`${'ab'.repeat(32)}\n`);
      expect((await office.occ(...add, '--out', 'hook.key')).code, 'nothing is overwritten').to.equal(10);
      expect(office.cloud.asked('createChannel')).to.have.length(2);
    });

    it('adds e-mail addresses, for all customers if that is said', async () => {
      await text('channels', 'add-email', 'night', 'a@b.example', 'c@d.example', '--all-customers');
      const way = { $case: 'email', value: { to: ['a@b.example', 'c@d.example'] } };
      expect(office.cloud.asked('createChannel')).to.deep.equal([
        { customerId: '', name: 'night', way, minSeverity: State.UNSPECIFIED, deferMs: undefined },
      ]);
      expect((await office.occ('channels', 'add-email', 'n', 'a@b.example')).code, 'which customer?').to.equal(2);
      const both = ['--all-customers', '--customer', 'acme'];
      expect((await office.occ('channels', 'add-email', 'n', 'a@b.example', ...both)).code).to.equal(2);
      expect((await office.occ('channels', 'add-email', 'n')).code).to.equal(2);
    });

    it('tries one, and removes it', async () => {
      expect((await office.occ('channels', 'test', 'desk')).err).to.equal('desk has accepted it.\n');
      office.cloud.content.trialError = 'it answered 500';
      const failed = await office.occ('channels', 'test', 'desk');
      expect(failed).to.deep.equal({ code: 1, out: '', err: 'occ: desk: it answered 500\n' });
      await text('channels', 'remove', id(62));
      expect(office.cloud.asked('deleteChannel')).to.deep.equal([{ id: id(62) }]);
    });
  });

  it('shows who did what', async () => {
    const audit = {
      ...{ by: 'Eve (1)', caller: Caller.OPERATOR, method: '/occmesh.inventory.v1.MachineService/RetireMachine' },
      ...{
        ids: [LAPTOP, id(99)].map((one) => ({ field: 'id', id: one })),
        status: 'NOT_FOUND',
        peer: '192.0.2.1:5',
      },
    };
    const event = (position: number) =>
      Event.fromPartial({ position, atMs: NOW, what: { $case: 'audit', value: audit } });
    office.cloud.content.events = [event(1), event(2), event(3)];
    const lines = (await text('audit', '--limit', '2')).trimEnd().split('\n');
    expect(lines.map((line) => line.replaceAll(/ {2,}/g, '  '))).to.deep.equal([
      'AT  BY  AS  WHAT  IDS  STATUS  FROM',
      ...Array(2).fill(
        `2026-01-01T12:00:00.000Z  Eve (1)  operator  RetireMachine  id=${LAPTOP} (laptop) id=${id(99)}  NOT_FOUND  192.0.2.1:5`,
      ),
    ]);
    expect(office.cloud.asked('listEvents')[0]).to.deep.include({ auditOnly: true });
    const named = office.cloud.asked('listMachines').length;
    const [newest] = (await office.json('audit')) as object[];
    expect(newest).to.deep.include({ position: 3 });
    expect(office.cloud.asked('listMachines'), 'asked for the record only').to.have.length(named);
    const ofSensors = { ...audit, ids: [1, 7].map((number) => ({ field: 'id', id: `${LAPTOP}/${number}` })) };
    office.cloud.content.events = [
      Event.fromPartial({ position: 4, atMs: NOW, what: { $case: 'audit', value: ofSensors } }),
    ];
    expect(await text('audit'), 'one that is there, and one that is not').to.contain(
      `id=${LAPTOP}/1 (laptop/Disks) id=${LAPTOP}/7 (laptop/7)`,
    );
  });

  it('lets machines sleep, or not', async () => {
    await text('machines', 'may-sleep', 'laptop');
    await text('machines', 'always-on', 'laptop');
    expect(office.cloud.asked('updateMachine')).to.deep.equal(
      [true, false].map((maySleep) => ({ id: LAPTOP, name: undefined, directAllowed: undefined, maySleep })),
    );
  });

  it('sets how many bad readings are believed', async () => {
    await text('sensors', 'add', 'laptop', 'cpu', '--attempts', '5');
    await text('sensors', 'change', 'shop', '--attempts', '1');
    expect(office.cloud.asked('createSensor')[0]).to.deep.include({ attempts: 5 });
    expect(office.cloud.asked('updateSensor')[0]).to.deep.include({ attempts: 1 });
    expect((await office.occ('sensors', 'change', 'shop', '--attempts', '11')).code).to.equal(2);
  });

  it('shows in the status how many alarms there are, and what explains a state', async () => {
    const { machines, sensors } = office.cloud.content;
    for (const one of machines) {
      if (one.id === GATEWAY) one.inMaintenance = true;
      if (one.id === PC) one.connectorLost = true;
      if (one.id === GATEWAY_HUB) one.maySleep = true;
      if (one.id === LAPTOP) Object.assign(one, { maySleep: true, state: MachineState.ASLEEP });
    }
    const [gatewayCpu, pcCpu] = sensors;
    Object.assign(gatewayCpu ?? {}, { state: SensorState.STALE, flapping: true });
    Object.assign(pcCpu ?? {}, { state: SensorState.OK, attempt: 2, attempts: 3 });
    const out = await text('status');
    expect(out).to.contain('Acme  3 hubs, 4 sensors: 1 CRITICAL, 1 OK  2 open alarms\n');
    expect(out).to.contain('connector gw  online, in maintenance  ');
    expect(out).to.contain('hub gw-hub  online, may sleep  ');
    expect(out).to.contain('hub pc  online, connector lost  ');
    expect(out).to.contain('hub laptop  asleep  ');
    expect(out).to.match(/CPU +STALE +12s ago +usage 12.5 % {2}\(flapping\)/);
    expect(out).to.match(/CPU +CRITICAL +12s ago +usage 99 % is over 98 {2}\(attempt 2 of 3\)/);
    const [acme] = (await office.json('status')) as { openAlarms: number }[];
    expect(acme?.openAlarms).to.equal(2);
  });
});
