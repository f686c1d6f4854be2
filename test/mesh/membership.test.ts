// How a membership begins, lasts and ends: tokens that are good and that are not, an answer that is lost, renewal past
// the end, retirement of a machine that is connected. Real processes.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { MachineState, Role } from '../../src/client/index.js';
import { Internet } from '../../src/demo/internet.js';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { formatEnrollmentToken, parseEnrollmentToken } from '../../src/identity/token-text.js';
import { hours, milliseconds, minutes, seconds } from '../../src/kernel/duration.js';
import {
  clock,
  endMesh,
  expectExactlyOnce,
  LogMark,
  PATIENCE,
  startMesh,
  untilPath,
  untilReports,
} from '../support/mesh-site.js';
import { occ } from '../support/occ.js';
import { AnswerThief } from '../support/thief.js';

/** The promise. */
const CUT_WITHIN = seconds(5);
const IDENTITY = 6;

describe('membership', () => {
  let mesh: LocalMesh;
  let byHand: readonly string[];

  before(async () => {
    mesh = await startMesh({ fallbackAfter: milliseconds(1_500) });
    await mesh.startConnector();
    byHand = ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`];
  });
  after(() => endMesh(mesh));

  const hubWith = (name: string, token: string) =>
    occ('hub', '--data', join(mesh.options.directory, name), '--token-file', token, ...byHand);
  const changed = async (token: string, change: Partial<ReturnType<typeof parseEnrollmentToken>>) => {
    const text = formatEnrollmentToken({ ...parseEnrollmentToken(await readFile(token, 'utf8')), ...change });
    await writeFile(token, text);
    return token;
  };
  const hubNames = async () => (await mesh.machines()).filter(({ role }) => role === Role.HUB).map(({ name }) => name);

  it('a token that was used is refused, with what to do', async () => {
    const hub = await mesh.addHub('first', byHand);
    const outcome = await hubWith('second', join(mesh.options.directory, 'first.token'));
    expect(outcome.code).to.equal(IDENTITY);
    expect(outcome.stderr).to.match(/This token was for one machine, which has come\. Make a new one/);
    await untilPath(mesh, hub, 'connector');
    await hub.process.stop();
  });

  it('a token of another role is refused, with what to do', async () => {
    const outcome = await hubWith('wrong-role', await mesh.token(Role.CONNECTOR, 'wrong-role'));
    expect(outcome.code).to.equal(IDENTITY);
    expect(outcome.stderr).to.match(/this token is for a connector[\s\S]*occ connector/);
  });

  it('a token that the cloud does not know is refused, and one that was revoked', async () => {
    const foreign = await changed(await mesh.token(Role.HUB, 'foreign'), { tokenId: Buffer.alloc(16, 7) });
    const outcome = await hubWith('foreign', foreign);
    expect(outcome.code).to.equal(IDENTITY);
    expect(outcome.stderr).to.match(/does not know this token/);

    const revoked = await mesh.token(Role.HUB, 'revoked');
    const { tokens } = await mesh.client.tokens.listTokens({ pageSize: 1_000 });
    await mesh.client.tokens.revokeToken({ id: tokens.find(({ name }) => name === 'revoked')?.id ?? '' });
    const second = await hubWith('revoked', revoked);
    expect(second.code).to.equal(IDENTITY);
    expect(second.stderr).to.match(/has been revoked\. Make a new one/);
  });

  it('a token that is damaged, or no token at all, is told before anything is sent', async () => {
    const token = await mesh.token(Role.HUB, 'damaged');
    const text = (await readFile(token, 'utf8')).trim();
    await writeFile(token, text.slice(0, -20));
    const outcome = await hubWith('damaged', token);
    expect(outcome.code).to.equal(IDENTITY);
    expect(outcome.stderr).to.match(/truncated or damaged[\s\S]*Copy the whole token/);
    const none = await occ('hub', '--data', join(mesh.options.directory, 'none'), ...byHand);
    expect(none.code).to.equal(IDENTITY);
    expect(none.stderr).to.match(/--token-file/);
  });

  it('an enrolment whose answer was lost is repeated and gives the same identity', async () => {
    const thief = await AnswerThief.start(mesh.cloudPort);
    try {
      const before = await hubNames();
      const hub = await mesh.addHub('robbed', ['--no-multicast'], { cloudPort: thief.port });
      await untilPath(mesh, hub, 'direct');
      expect(thief.stolen, 'answers that were lost').to.equal(1);
      expect((await hubNames()).length).to.equal(before.length + 1);
      const { tokens } = await mesh.client.tokens.listTokens({ pageSize: 1_000 });
      expect(tokens.find(({ name }) => name === 'robbed')?.used).to.equal(1);
      await hub.process.stop();
    } finally {
      await thief.stop();
    }
  });

  describe('retired', () => {
    const hubs: HubProcess[] = [];
    const client = () => join(mesh.options.directory, 'cloud', 'client.yaml');

    before(async () => {
      hubs.push(await mesh.addHub('stays', byHand));
      hubs.push(await mesh.addHub('via-connector', byHand));
      hubs.push(await mesh.addHub('goes-direct', ['--no-multicast']));
      for (const { machineId } of hubs) await mesh.quicken(machineId, seconds(1));
      for (const hub of hubs) await untilPath(mesh, hub, hub.name === 'goes-direct' ? 'direct' : 'connector');
    });

    for (const name of ['via-connector', 'goes-direct']) {
      it(`a machine that ${name.replace('-', ' ')} is cut off within 5 s and says what to do`, async () => {
        const hub = hubs.find((one) => one.name === name);
        if (!hub) throw new Error(`no ${name}`);
        const mark = await LogMark.now(hub.process);
        const before = clock.monotonic();
        const { code, stdout } = await occ('machines', 'retire', name, '--yes', '--json', '--client', client());
        expect(code).to.equal(0);
        expect(JSON.parse(stdout)).to.include({ id: hub.machineId, state: 'retired' });
        await mark.until(/path is lost.*|retired/, CUT_WITHIN);
        expect(clock.monotonic() - before).to.be.lessThan(CUT_WITHIN);
        expect((await mark.until(/retired.*path is lost/)).text).to.match(/retired/);
        expect((await mark.until(/retired.*not a path/)).text).to.match(/token/);
        const { machines } = await mesh.client.machines.listMachines({ pageSize: 1_000, includeRetired: true });
        expect(machines.find(({ id }) => id === hub.machineId)?.state).to.equal(MachineState.RETIRED);
        await hub.process.stop();
      });
    }

    it('nobody else is', async () => {
      const stays = hubs.slice(0, 1);
      await untilReports(mesh, stays[0]?.machineId ?? '');
      expect(await stays[0]?.process.log()).to.not.match(/path is lost/);
      await expectExactlyOnce(mesh, stays);
    });

    it('a connector loses its trunk within 5 s', async () => {
      const connector = await mesh.addConnector('to-be-retired');
      const mark = await LogMark.now(connector.process);
      await mesh.client.machines.retireMachine({ id: connector.machineId });
      const line = await mark.until(/no trunk to the cloud/, CUT_WITHIN);
      expect(line.text).to.match(/retired/);
      await connector.process.stop();
    });
  });

  // Last: it takes the cloud away.
  describe('that comes late', () => {
    it('a token that has expired is refused, with what to do', async () => {
      const token = await mesh.token(Role.HUB, 'expired');
      await mesh.cloud.stop();
      const later = mesh.process('cloud-later', mesh.cloud.options.args, {
        env: {
          NODE_OPTIONS: `--import=${new URL('../support/later.mjs', import.meta.url).href}`,
          TEST_CLOCK_AHEAD: String(hours(2)),
        },
      });
      later.start();
      await later.untilLog(/cloud is up/, seconds(30));
      const outcome = await occ(
        'hub',
        '--data',
        join(mesh.options.directory, 'expired'),
        '--no-multicast',
        ...['--token-file', token],
      );
      await later.stop();
      expect(outcome.code).to.equal(IDENTITY);
      expect(outcome.stderr).to.match(/This token expired at .* by the clock of the cloud\. Make a new one/);
    });
  });
});

describe('renewal', () => {
  const LIFETIME = seconds(6);
  let mesh: LocalMesh;
  let nowhere: Internet;

  before(async () => {
    mesh = await startMesh({ fallbackAfter: minutes(10), cloudArgs: ['--certificate-lifetime', `${LIFETIME}ms`] });
    nowhere = await Internet.start(() => 1, {}, clock);
    nowhere.cut();
    await mesh.startConnector();
  });
  after(async () => {
    await endMesh(mesh);
    await nowhere?.stop();
  });

  it('happens in time, again and again, and disturbs nothing', async () => {
    const hub = await mesh.addHub('hub', ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`], {
      cloudPort: nowhere.port,
    });
    await mesh.quicken(hub.machineId, seconds(1));
    await untilPath(mesh, hub, 'connector');
    const first = (await mesh.machine(hub.machineId)).certificateExpiresAtMs;
    await until(
      async () => (await mesh.machine(hub.machineId)).certificateExpiresAtMs > first + LIFETIME,
      PATIENCE,
      clock,
      () => 'the certificate is not renewed',
    );
    await untilReports(mesh, hub.machineId);
    expect(await hub.process.log()).to.not.match(/path is lost/);
  });

  it('brings back a hub without internet whose certificate has expired, through the connector', async () => {
    const hub = mesh.hubs[0] as HubProcess;
    await hub.process.stop();
    const { certificateExpiresAtMs } = await mesh.machine(hub.machineId);
    await until(
      async () => clock.now() > certificateExpiresAtMs,
      PATIENCE,
      clock,
      () => 'time does not pass',
    );
    hub.process.start();
    await untilPath(mesh, hub, 'connector');
    expect((await mesh.machine(hub.machineId)).certificateExpiresAtMs).to.be.greaterThan(clock.now());
    await untilReports(mesh, hub.machineId);
    await expectExactlyOnce(mesh, [hub]);
    expect(nowhere.tried, 'tries to reach the cloud directly').to.equal(0);
  });
});
