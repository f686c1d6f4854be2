// The operators' commands against a cloud with canned answers, over real TLS: the exact tables, the fields of the JSON,
// and what was asked of the cloud.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { GapReason, MachineState, MissingReason, Outcome, State } from '../../../src/client/index.js';
import { ApiFault } from '../../../src/contract/fault.js';
import { ACME, BIRCH, GATEWAY, GATEWAY_HUB, LAPTOP, NOW, OTHER_PC, PC } from './fake-cloud.js';
import { Office, occ, Screen } from './support.js';

describe('operators', () => {
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

  describe('customers', () => {
    it('lists all pages', async () => {
      expect(await text('customers', 'list')).to.equal(
        [
          'NAME        DIRECT   FALLBACK  READINGS  SUMMARIES  ID',
          `Acme        allowed  5m        30d       400d       ${ACME}`,
          `Birch & Co  no       1m        30d       400d       ${BIRCH}`,
          '',
        ].join('\n'),
      );
      expect(await office.json('customers', 'list')).to.deep.include({
        id: ACME,
        name: 'Acme',
        directAllowed: true,
        fallbackAfterMs: 300_000,
        rawRetentionMs: 30 * 86_400_000,
        summaryRetentionMs: 400 * 86_400_000,
        createdAt: '2026-01-01T11:59:59.000Z',
      });
    });

    it('says what to do when there is none', async () => {
      office.cloud.content.customers.length = 0;
      const { code, out, err } = await office.occ('customers', 'list');
      expect({ code, out, err }).to.deep.equal({
        code: 0,
        out: '',
        err: 'There is no customer yet. Make one: occ customers create NAME\n',
      });
      expect(await office.json('customers', 'list')).to.deep.equal([]);
    });

    it('creates, and changes only what was said', async () => {
      await text('customers', 'create', 'Cedar');
      expect(office.cloud.asked('createCustomer')).to.deep.equal([{ name: 'Cedar' }]);
      await text('customers', 'update', 'birch & co', '--direct', 'allow', '--fallback-after', '90s');
      await text('customers', 'update', 'birch & co', '--raw-retention', '7d', '--summary-retention', '90d');
      const kept = { id: BIRCH, name: undefined, directAllowed: undefined, fallbackAfterMs: undefined };
      expect(office.cloud.asked('updateCustomer')).to.deep.equal([
        {
          ...kept,
          directAllowed: true,
          fallbackAfterMs: 90_000,
          rawRetentionMs: undefined,
          summaryRetentionMs: undefined,
        },
        { ...kept, rawRetentionMs: 7 * 86_400_000, summaryRetentionMs: 90 * 86_400_000 },
      ]);
      const ids = office.cloud.requestIds;
      expect([ids.length, new Set(ids).size, ids.every((id) => id.length === 32)]).to.deep.equal([3, 3, true]);
      expect((await office.occ('customers', 'update', 'acme')).code).to.equal(2);
    });
  });

  describe('machines', () => {
    it('lists them with state and path', async () => {
      expect(await text('machines', 'list')).to.equal(
        [
          'NAME    ROLE       CUSTOMER    STATE       PATH        SEEN    QUEUED          ID',
          `gw      connector  Acme        online      cloud       3s ago  2 hubs          ${GATEWAY}`,
          `gw-hub  hub        Acme        online      via gw      3s ago  0               ${GATEWAY_HUB}`,
          `laptop  hub        Acme        shut down   shut down   2h ago  0               ${LAPTOP}`,
          `pc      hub        Acme        online      direct      3s ago  42, for 1m 30s  ${PC}`,
          `pc      hub        Birch & Co  never seen  never seen  never   0               ${OTHER_PC}`,
          '',
        ].join('\n'),
      );
      for (const machine of office.cloud.content.machines) if (machine.id === GATEWAY) machine.hubCount = 1;
      expect(await text('machines', 'list')).to.match(/ 1 hub +\S+\n/);
      const machines = (await office.json('machines', 'list', '--customer', 'acme')) as { name: string }[];
      expect(machines.map(({ name }) => name)).to.deep.equal(['gw', 'gw-hub', 'pc', 'laptop']);
      expect(machines[1]).to.include({
        route: 'via gw',
        path: 'connector',
        connector: 'gw',
        role: 'hub',
        state: 'online',
      });
      expect(machines[3]).to.include({ state: 'shut down', lastSeenAt: '2026-01-01T10:00:00.000Z', queuedReadings: 0 });
    });

    it('acts on one machine, by name or id', async () => {
      await text('machines', 'rename', 'laptop', 'Notebook');
      await text('machines', 'deny-direct', 'acme/pc');
      await text('machines', 'allow-direct', OTHER_PC);
      const absent = { name: undefined, directAllowed: undefined, maySleep: undefined };
      expect(office.cloud.asked('updateMachine')).to.deep.equal([
        { ...absent, id: LAPTOP, name: 'Notebook' },
        { ...absent, id: PC, directAllowed: false },
        { ...absent, id: OTHER_PC, directAllowed: true },
      ]);
      await text('machines', 'release', 'gw');
      expect(office.cloud.asked('releaseMachine')).to.deep.equal([{ id: GATEWAY }]);
    });

    it('gives no machine the name of another of its customer and role', async () => {
      const { code, err } = await office.occ('machines', 'rename', 'laptop', 'pc');
      expect([code, err]).to.deep.equal([
        10,
        'occ: there is a hub "pc" of this customer already\n     Choose another name: of two alike, neither could be named any more.\n',
      ]);
      expect(office.cloud.asked('updateMachine')).to.deep.equal([]);
      // Its own, another customer's, and that of a connector.
      for (const name of ['laptop', 'gw']) await text('machines', 'rename', 'laptop', name);
      await text('machines', 'rename', OTHER_PC, 'laptop');
      expect(office.cloud.asked('updateMachine')).to.have.length(3);
    });

    it('retires only after yes', async () => {
      const refused = await office.occ('machines', 'retire', 'laptop');
      expect(refused.code).to.equal(10);
      expect(refused.err).to.contain('--yes');
      const wrong = await occ(['machines', 'retire', 'laptop'], office.terminal({ ask: async () => 'yes' }));
      expect(wrong.code).to.equal(10);
      expect(office.cloud.asked('retireMachine')).to.deep.equal([]);
      expect(
        (await occ(['machines', 'retire', 'laptop'], office.terminal({ ask: async () => 'laptop' }))).code,
      ).to.equal(0);
      await text('machines', 'retire', 'laptop', '--yes');
      expect(office.cloud.asked('retireMachine')).to.deep.equal([{ id: LAPTOP }, { id: LAPTOP }]);
    });

    it('refuses an ambiguous name before anything is changed', async () => {
      const { code, err } = await office.occ('machines', 'rename', 'pc', 'x');
      expect(code).to.equal(9);
      expect(err).to.contain(`Acme/pc (${PC}), Birch & Co/pc (${OTHER_PC})`);
      expect(office.cloud.asked('updateMachine')).to.deep.equal([]);
    });
  });

  describe('sensors', () => {
    it('lists them', async () => {
      expect(await text('sensors', 'list', '--machine', 'acme/pc')).to.equal(
        [
          'HUB  NAME  KIND  EVERY  WARN/CRIT    SETTINGS                   ERROR         ID',
          `pc   CPU   cpu   1m     usage 90/98                                           ${PC}/1`,
          `pc   Shop  http  1m                  url=https://shop.example/  no such host  ${PC}/2`,
          '',
        ].join('\n'),
      );
      const [disks] = (await office.json('sensors', 'list', '--machine', 'laptop')) as object[];
      expect(disks).to.include({
        id: `${LAPTOP}/1`,
        machine: 'laptop',
        kind: 'disk',
        paused: true,
        intervalMs: 60_000,
      });
    });

    it('takes no time for none at all', async () => {
      for (const flag of ['--interval', '--timeout']) {
        const { code, err } = await office.occ('sensors', 'add', 'laptop', 'cpu', flag, '0s');
        expect(code).to.equal(2);
        expect(err).to.contain('longer than nothing');
      }
      expect(office.cloud.asked('createSensor')).to.deep.equal([]);
    });

    it('says which secrets have to be entered now', async () => {
      const note = `Enter its password: occ secrets set --sensor ${PC}/9 --field password\n`;
      const added = await office.occ('sensors', 'add', 'laptop', 'http', '--set', 'url=https://a.example/');
      expect(added).to.deep.include({ code: 0, err: note });
      expect(await office.occ('sensors', 'add', 'laptop', 'cpu')).to.deep.include({ code: 0, err: '' });
    });

    it('adds one, its limits put into those of the kind', async () => {
      await text('sensors', 'add', 'laptop', 'cpu', '--name', 'Busy', '--interval', '30s', '--warn', 'usage=50');
      await text('sensors', 'add', 'laptop', 'tcp', '--set', 'host=a.example', '--set', 'port=25');
      const none = { intervalMs: 0, timeoutMs: 0, name: '', attempts: 0 };
      expect(office.cloud.asked('createSensor')).to.deep.equal([
        {
          ...none,
          machineId: LAPTOP,
          name: 'Busy',
          kind: 'cpu',
          settings: {},
          intervalMs: 30_000,
          thresholds: [{ metric: 'usage', warning: '50', critical: '98' }],
        },
        { ...none, machineId: LAPTOP, kind: 'tcp', settings: { host: 'a.example', port: 25 }, thresholds: [] },
      ]);
    });

    it('changes what was said and leaves the rest', async () => {
      await text('sensors', 'change', 'shop', '--set', 'status=[200]', '--unset', 'url', '--resume');
      await text('sensors', 'change', 'gw-hub/cpu', '--crit', 'usage=95', '--pause');
      await text('sensors', 'change', 'gw-hub/cpu', '--no-thresholds');
      const none = { name: undefined, settings: undefined, attempts: undefined };
      const absent = { ...none, intervalMs: undefined, timeoutMs: undefined };
      expect(office.cloud.asked('updateSensor')).to.deep.equal([
        { ...absent, id: `${PC}/2`, settings: { status: [200] }, thresholds: undefined, paused: false },
        {
          ...absent,
          id: `${GATEWAY_HUB}/1`,
          thresholds: { thresholds: [{ metric: 'usage', warning: '90', critical: '95' }] },
          paused: true,
        },
        { ...absent, id: `${GATEWAY_HUB}/1`, thresholds: { thresholds: [] }, paused: undefined },
      ]);
      expect((await office.occ('sensors', 'change', 'shop')).code).to.equal(2);
      expect((await office.occ('sensors', 'change', 'shop', '--pause', '--resume')).code).to.equal(2);
    });

    it('removes and runs', async () => {
      const removed = await office.occ('sensors', 'remove', 'shop');
      expect(removed.err).to.equal('Removed Shop of pc.\n');
      expect(office.cloud.asked('deleteSensor')).to.deep.equal([{ id: `${PC}/2` }]);
      expect(await text('sensors', 'run', 'shop')).to.equal(
        'SENSOR  STATE     MESSAGE\nShop    CRITICAL  usage 99 %\n',
      );
      office.cloud.content.run = { outcome: Outcome.FAILED, message: 'no such program', state: State.UNSPECIFIED };
      const failed = await office.occ('sensors', 'run', 'shop');
      expect(failed).to.deep.include({ code: 1, err: 'occ: Shop: no such program\n' });
    });

    it('knows the kinds without asking a cloud', async () => {
      const kinds = await occ(['sensors', 'kinds', '--json']);
      const all = JSON.parse(kinds.out) as { name: string; settings: { key: string; required: boolean }[] }[];
      expect(all.map(({ name }) => name)).to.include.members(['cpu', 'http', 'exec']);
      expect(
        all
          .find(({ name }) => name === 'tcp')
          ?.settings.filter(({ required }) => required)
          .map(({ key }) => key),
      ).to.deep.equal(['host', 'port']);
      expect((await occ(['sensors', 'kinds', 'http'])).out).to.match(
        /^http: .*\nevery 1m, timeout 20s\nmetrics: connect, tls, /,
      );
      expect((await occ(['sensors', 'kinds', 'http'])).out).to.match(/\nSECRET *\npassword .*\ntoken /);
      expect((await occ(['sensors', 'kinds', 'htttp'])).code).to.equal(9);
    });
  });

  describe('readings', () => {
    it('shows the latest', async () => {
      expect(await text('readings', 'latest')).to.equal(
        [
          'HUB     SENSOR  STATE     TAKEN    VALUES        MESSAGE',
          'gw-hub  CPU     OK        12s ago  usage 12.5 %',
          'pc      CPU     CRITICAL  12s ago  usage 99 %    usage 99 % is over 98',
          '',
        ].join('\n'),
      );
      const [first] = (await office.json('readings', 'latest', '--machine', 'gw-hub')) as object[];
      expect(first).to.deep.equal({
        machineId: GATEWAY_HUB,
        machine: 'gw-hub',
        sensorId: `${GATEWAY_HUB}/1`,
        sensor: 'CPU',
        takenAt: '2026-01-01T11:59:48.000Z',
        state: 'OK',
        message: '',
        values: [{ name: 'usage', unit: '%', value: 12.5 }],
        id: { log: '07'.repeat(16), flush: 4, position: 1 },
      });
      expect(office.cloud.asked('getLatest').at(-1)).to.include({ customerId: '', machineId: GATEWAY_HUB });
    });

    it('shows a range, oldest first, the newest when there are too many', async () => {
      const [one] = office.cloud.content.readings;
      if (!one) throw new Error('no reading');
      office.cloud.content.readings = [1, 2, 3, 4, 5].map((n) => ({ ...one, takenAtMs: one.takenAtMs + n * 1_000 }));
      const shown = (await office.json(
        'readings',
        'range',
        '--sensor',
        'acme/pc/cpu',
        '--from',
        '-2h',
        '--until',
        'now',
      )) as {
        takenAt: string;
      }[];
      expect(shown.map(({ takenAt }) => takenAt.slice(17, 19))).to.deep.equal(['49', '50', '51', '52', '53']);
      expect(office.cloud.asked('queryReadings')).to.deep.equal([
        {
          machineId: PC,
          sensor: 1,
          fromMs: Date.UTC(2026, 0, 1, 10),
          untilMs: Date.UTC(2026, 0, 1, 12),
          sensorIds: [],
        },
      ]);
      const cut = await office.occ('readings', 'range', '--machine', 'laptop', '--limit', '2');
      expect(cut.out.split('\n')).to.have.length(4);
      expect(cut.out).to.contain('2026-01-01T11:59:52.000Z').and.to.contain('2026-01-01T11:59:53.000Z');
      expect(cut.err).to.equal('3 older readings are not shown; see --limit.\n');
    });

    it('says what is missing of a range, and why', async () => {
      const span = {
        machineId: PC,
        fromMs: NOW - 3_000,
        untilMs: NOW - 1_000,
        log: Buffer.alloc(16, 5),
        flushes: { first: 7, count: 3 },
      };
      const lost = { ...span, reason: MissingReason.LOST, gapReason: GapReason.LOG_FULL };
      const away = {
        ...span,
        reason: MissingReason.AWAY,
        gapReason: GapReason.UNSPECIFIED,
        untilMs: NOW,
        log: Buffer.alloc(0),
        flushes: undefined,
      };
      office.cloud.content.missing = [lost, away];
      const notes = [
        'Readings are missing: lost (log full), between 2026-01-01T11:59:57.000Z and 2026-01-01T11:59:59.000Z.',
        'Readings are missing: the hub is not there, between 2026-01-01T11:59:57.000Z and 2026-01-01T12:00:00.000Z.',
      ];
      const range = ['readings', 'range', '--machine', 'acme/pc'];
      expect((await office.occ(...range)).err.trimEnd().split('\n')).to.deep.equal(notes);
      expect((await office.occ(...range, '--every', '30m')).err.trimEnd().split('\n')).to.deep.equal(notes);
      expect((await office.occ(...range, '--json')).err, 'for people only').to.equal('');
      const whose = { machineId: PC, machine: 'pc' };
      const from = '2026-01-01T11:59:57.000Z';
      const place = { log: '05'.repeat(16), firstFlush: 7, flushCount: 3 };
      const spans = [
        {
          ...whose,
          missing: { reason: 'lost', gapReason: 'log full', from, until: '2026-01-01T11:59:59.000Z', ...place },
        },
        { ...whose, missing: { reason: 'away', from, until: '2026-01-01T12:00:00.000Z' } },
      ];
      for (const how of [[], ['--every', '30m'], ['--limit', '1']]) {
        const told = (await office.json(...range, ...how)) as object[];
        expect(told.slice(-2)).to.deep.equal(spans);
        expect(told.slice(0, -2)).to.not.deep.equal([]);
        for (const one of told.slice(0, -2)) expect(one).to.not.have.property('missing');
      }
      office.cloud.content.missing = Array.from({ length: 7 }, () => lost);
      expect((await office.occ(...range)).err.trimEnd().split('\n').at(-1)).to.equal(
        'Readings are missing in 2 more spans.',
      );
    });

    it('sums a range up', async () => {
      const range = ['readings', 'range', '--sensor', 'acme/pc/cpu', '--from', '-2h', '--every', '30m'];
      expect(await office.json(...range)).to.deep.equal([
        {
          ...{ machineId: PC, machine: 'pc', sensorId: `${PC}/1`, sensor: 'CPU' },
          ...{ from: '2026-01-01T10:00:00.000Z', state: 'CRITICAL', name: 'usage', unit: '%' },
          ...{ count: 2, minimum: 10, average: 54.5, maximum: 99, last: 10 },
        },
        {
          ...{ machineId: PC, machine: 'pc', sensorId: `${PC}/1`, sensor: 'CPU' },
          ...{ from: '2026-01-01T11:00:00.000Z', state: 'OK', name: 'usage', unit: '%' },
          ...{ count: 1, minimum: 7, average: 7, maximum: 7, last: 7 },
        },
      ]);
      expect(office.cloud.asked('aggregateReadings')).to.deep.equal([
        {
          machineId: PC,
          sensor: 1,
          fromMs: Date.UTC(2026, 0, 1, 10),
          untilMs: Date.UTC(2026, 0, 1, 12),
          bucketMs: 1_800_000,
          sensorIds: [],
        },
      ]);
      const { out } = await office.occ(...range);
      expect(out).to.match(/CPU +usage +2026-01-01T10:00:00.000Z +2 +10 % +54.5 % +99 % +10 % +CRITICAL/);
      expect((await office.occ(...range, '--limit', '5')).code).to.equal(2);
    });

    it('needs to know whose, and a range that is one', async () => {
      expect((await office.occ('readings', 'range')).code).to.equal(2);
      expect((await office.occ('readings', 'range', '--machine', 'a', '--sensor', 'b')).code).to.equal(2);
      expect(
        (await office.occ('readings', 'range', '--machine', 'a', '--from', 'now', '--until', '-1h')).code,
      ).to.equal(2);
      expect((await office.occ('readings', 'range', '--machine', 'a', '--from', 'yesterday')).err).to.contain(
        '-1h or now',
      );
    });

    for (const json of [false, true]) {
      it(`watches until Ctrl-C, and then ends well (${json ? 'JSON' : 'text'})`, async () => {
        const terminal = office.terminal();
        const running = occ(['readings', 'watch', ...(json ? ['--json'] : [])], terminal);
        await terminal.stdout.shows('usage 99 % is over 98');
        terminal.interrupt();
        const { code, out, err } = await running;
        expect({ code, err }).to.deep.equal({ code: 0, err: '' });
        const lines = out.trimEnd().split('\n');
        expect(lines).to.have.length(2);
        if (json) expect(JSON.parse(lines[1] ?? '')).to.include({ machine: 'pc', sensor: 'CPU', state: 'CRITICAL' });
        else
          expect(lines[1]).to.equal(
            `2026-01-01T11:59:48.000Z  CRITICAL  pc/CPU${' '.repeat(20)}usage 99 %  usage 99 % is over 98`,
          );
      });
    }
  });

  describe('status', () => {
    const whole = [
      'Acme  3 hubs, 4 sensors: 1 CRITICAL, 1 OK  2 open alarms',
      '├─ connector gw  online  seen 3s ago',
      '│  └─ hub gw-hub  online  seen 3s ago',
      '│     └─ CPU               OK        12s ago     usage 12.5 %',
      '├─ straight to the cloud',
      '│  └─ hub pc  online  seen 3s ago  direct  42 readings wait, for 1m 30s',
      '│     ├─ CPU               CRITICAL  12s ago     usage 99 % is over 98',
      '│     ├─ Shop              no such host',
      '│     ├─ lost: 17 readings (log full), noticed 1h ago',
      '│     └─ expired: 17 flushes, known in sums of five minutes',
      '└─ not connected',
      '   └─ hub laptop  shut down  seen 2h ago',
      '      └─ Disks             paused',
      'Birch & Co  1 hub, 0 sensors',
      '└─ not connected',
      '   └─ hub pc  never seen',
      '',
    ];

    it('is a tree of everything', async () => {
      expect(await text('status')).to.equal(whole.join('\n'));
    });

    it('folds what is well on a screen that is too small, unless told not to', async () => {
      const small = () =>
        office.terminal({ stdout: new Screen(true, 80, 10), env: { ...office.terminal().env, NO_COLOR: '1' } });
      expect((await occ(['status'], small())).out)
        .to.contain('│     └─ 1 sensor OK\n')
        .and.not.to.contain('usage 12.5 %');
      expect((await occ(['status', '--all'], small())).out).to.equal(whole.join('\n'));
    });

    it('has everything in its JSON, gaps too', async () => {
      const [acme, birch] = (await office.json('status')) as Record<string, { name: string; hubs?: object[] }[]>[];
      expect(acme?.connectors?.map(({ name, hubs }) => [name, hubs?.length])).to.deep.equal([['gw', 1]]);
      expect(acme?.disconnectedHubs?.map(({ name }) => name)).to.deep.equal(['laptop']);
      expect(birch?.disconnectedHubs?.map(({ name }) => name)).to.deep.equal(['pc']);
      const [pc] = (acme?.directHubs ?? []) as unknown as {
        gaps: object[];
        sensors: { latest?: { state: string } }[];
      }[];
      expect(pc?.sensors.map(({ latest }) => latest?.state)).to.deep.equal(['CRITICAL', undefined]);
      expect(pc?.gaps).to.deep.equal([
        {
          log: '09'.repeat(16),
          firstFlush: 10,
          flushCount: 3,
          readingCount: 17,
          reason: 'log full',
          witness: 'hub',
          noticedAt: '2026-01-01T11:00:00.000Z',
        },
      ]);
    });

    it('can be of one customer', async () => {
      expect(await text('status', '--customer', 'birch & co')).to.equal(whole.slice(13).join('\n'));
    });

    it('shows nothing of a name that a terminal would obey', async () => {
      const [machine] = office.cloud.content.machines.filter(({ state }) => state === MachineState.SHUT_DOWN);
      if (!machine) throw new Error('no machine');
      machine.name = 'x\u001b[2J';
      expect(await text('status'))
        .to.contain('hub x [2J')
        .and.not.to.contain('\u001b');
    });
  });

  describe('failures', () => {
    it("shows the cloud's own words and advice, without a trace of gRPC", async () => {
      office.cloud.failNext = new ApiFault('api.denied', 'this token may only read', { advice: 'Use another one.' });
      const { code, out, err } = await office.occ('customers', 'list');
      expect({ code, out, err }).to.deep.equal({
        code: 8,
        out: '',
        err: 'occ: this token may only read. Use another one.\n',
      });
    });

    it('says of a token that cannot be read what to look at', async () => {
      const file = join(office.folder, 'odd.yaml');
      const { address } = office.cloud;
      await writeFile(file, `cloud: ${address}\nca: ca.crt\ntokenFile: ca.crt/below\n`);
      const { code, err } = await occ(['customers', 'list', '--client', file], office.terminal());
      expect(code).to.equal(3);
      expect(err).to.match(/odd.yaml names .*below, which cannot be read: ENOTDIR.*\n +Check who may read it/);
    });

    it('ends with 130 when it is interrupted in the middle of a call', async () => {
      const terminal = office.terminal();
      terminal.interrupt();
      const { code, err } = await occ(['customers', 'list'], terminal);
      expect({ code, err }).to.deep.equal({ code: 130, err: 'occ: ended by SIGINT\n' });
    });

    it('ends with 1 and asks for a report when something unexpected is thrown', async () => {
      class BrokenScreen extends Screen {
        override write(): void {
          throw new TypeError('surprise');
        }
      }
      const broken = office.terminal({ stdout: new BrokenScreen() });
      const { code, err } = await occ(['status'], broken);
      expect(code).to.equal(1);
      expect(err).to.contain('occ: surprise\n').and.to.contain('OCC_DEBUG=1');
    });
  });
});
