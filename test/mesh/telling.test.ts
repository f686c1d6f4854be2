// Telling from real processes: an alarm becomes a signed webhook and an e-mail; a cloud that is killed while its receiver
// refuses tells the same again, and what was accepted not once more.
import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { SMTPServer } from 'smtp-server';
import type { HubProcess, LocalMesh } from '../../src/demo/mesh.js';
import { until } from '../../src/demo/processes.js';
import { clock, endMesh, PATIENCE, startMesh, untilPath } from '../support/mesh-site.js';

interface Got {
  readonly id: string;
  readonly body: string;
  readonly signed: boolean;
  readonly accepted: boolean;
}

describe('telling of alarms from a real mesh', () => {
  let mesh: LocalMesh;
  let hub: HubProcess;
  let hook: Server;
  let mail: SMTPServer;
  const got: Got[] = [];
  const mails: string[] = [];
  let accepts = false;
  let key = '';

  before(async () => {
    hook = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      const { 'occ-delivery': id, 'occ-timestamp': at, 'occ-signature': signature } = request.headers;
      const mac = createHmac('sha256', Buffer.from(key, 'hex')).update(`${at}.${body}`).digest('hex');
      got.push({ id: String(id), body, signed: signature === `v1=${mac}`, accepted: accepts });
      response.writeHead(accepts ? 200 : 503).end('out of order\n');
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    mail = new SMTPServer({
      ...{ disabledCommands: ['AUTH', 'STARTTLS'], logger: false },
      onData(stream, _session, done) {
        let raw = '';
        stream.on('data', (chunk: Buffer) => {
          raw += chunk.toString();
        });
        stream.on('end', () => {
          mails.push(raw);
          done();
        });
      },
    });
    mail.on('error', () => undefined);
    await new Promise<void>((resolve) => mail.listen(0, '127.0.0.1', resolve));
    const { port } = mail.server.address() as AddressInfo;
    const smtp = ['--smtp-host', '127.0.0.1', '--smtp-port', String(port), '--smtp-tls', 'none'];
    mesh = await startMesh({
      cloudArgs: ['--private-webhooks', ...smtp, '--smtp-from', 'alarms@provider.example'],
    });
    await mesh.startConnector();
    hub = await mesh.addHub('pc', ['--no-multicast', '--connector', `127.0.0.1:${mesh.connectorPort}`]);
    await untilPath(mesh, hub, 'connector');
  });
  after(async () => {
    await endMesh(mesh);
    await new Promise((resolve) => hook.close(resolve));
    await new Promise<void>((resolve) => mail.close(() => resolve()));
  });

  const channel = async (id: string) =>
    (await mesh.client.notifications.listChannels({})).channels.find((one) => one.id === id);
  const startAgain = async () => {
    await mesh.startCloud();
    const answers = () =>
      channel('').then(
        () => true,
        () => false,
      );
    await until(answers, PATIENCE, clock, () => 'the cloud does not answer');
  };
  const untilGot = (what: string, holds: () => boolean) =>
    until(
      async () => holds(),
      PATIENCE,
      clock,
      () => `not ${what}: ${JSON.stringify({ got, mails })}`,
    );

  it('is the same again after a crash, until it is accepted, and then no more', async () => {
    const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
    const { customerId } = await mesh.machine(hub.machineId);
    const desk = { customerId, name: 'desk', way: { $case: 'webhook' as const, value: { url } }, deferMs: 0 };
    const made = await mesh.client.notifications.createChannel(desk);
    const hookId = made.channel?.id ?? '';
    key = made.key;
    const to = { $case: 'email' as const, value: { to: ['me@shop.example'] } };
    await mesh.client.notifications.createChannel({ customerId: '', name: 'mail', way: to, deferMs: 0 });

    const shut = { machineId: hub.machineId, name: 'door', kind: 'tcp', settings: { host: '127.0.0.1', port: 1 } };
    const { id: sensorId } = await mesh.client.sensors.createSensor({
      ...{ ...shut, attempts: 1, intervalMs: 1_000, timeoutMs: 500 },
    });
    await untilGot('tried', () => got.length > 0);
    await untilGot('mailed', () => mails.length > 0);
    expect(mails[0]).to.match(/^Subject: CRITICAL: door on pc \(/m);
    await until(
      async () => (await channel(hookId))?.lastError === 'it answered 503: out of order',
      PATIENCE,
      clock,
      () => 'the channel does not say why',
    );

    await mesh.cloud.kill();
    const before = got.length;
    accepts = true;
    await startAgain();
    await untilGot('told', () => got.length > before);
    const [first] = got;
    expect(new Set(got.map(({ id, body, signed }) => `${id} ${body} ${signed}`))).to.deep.equal(
      new Set([`${first?.id} ${first?.body} true`]),
    );
    await until(
      async () => {
        const now = await channel(hookId);
        return now?.waiting === 0 && now.lastError === '';
      },
      PATIENCE,
      clock,
      () => 'something waits still',
    );

    await mesh.cloud.kill();
    await startAgain();
    await mesh.client.sensors.deleteSensor({ id: sensorId });
    await untilGot('told of its end', () => got.some(({ body }) => body.includes('"notice":"closed"')));
    expect(got.filter(({ id, accepted }) => id === first?.id && accepted)).to.have.length(1);
    expect(
      got.every(({ signed }) => signed),
      'the key is the same after a start',
    ).to.equal(true);
  });
});
