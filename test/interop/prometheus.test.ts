// Debian's Prometheus scrapes latest readings from a cloud, by TLS and with a token, and answers questions about them.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { freePort } from '../../src/demo/free-port.js';
import { until } from '../../src/demo/processes.js';
import { systemClock } from '../../src/kernel/clock.js';
import { seconds } from '../../src/kernel/duration.js';
import { needs, program } from '../support/programs.js';
import { type InteropMesh, startMesh } from './mesh.js';
import { Daemon } from './sensors/daemon.js';

const PROMETHEUS = '/usr/bin/prometheus';

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

describe('Prometheus', function () {
  this.timeout(120_000);
  let running: InteropMesh | undefined;
  let daemon: Daemon | undefined;
  let [api, machine, machineId] = ['', '', ''];

  before(async function () {
    await needs(this, [program(PROMETHEUS, 'prometheus')]);
    const [scraped, port] = [await freePort(), await freePort()];
    running = await startMesh({ cloudArgs: ['--openmetrics-port', String(scraped)] });
    const { mesh, caFile, tokenFile } = running;
    await mesh.startConnector();
    ({ name: machine, id: machineId } = await mesh.machine(mesh.companionId));
    await mesh.quicken(machineId, seconds(1));
    const job = (name: string, file: string) => [
      `  - job_name: ${name}`,
      '    scheme: https',
      `    authorization: { credentials_file: ${file} }`,
      '    tls_config: { ca_file: ca.crt }',
      `    static_configs: [{ targets: ['127.0.0.1:${scraped}'] }]`,
    ];
    daemon = await Daemon.start({
      files: {
        'ca.crt': await readFile(caFile, 'utf8'),
        token: await readFile(tokenFile, 'utf8'),
        wrong: 'nonsense\n',
        'prometheus.yml': [
          'global: { scrape_interval: 1s, scrape_timeout: 1s }',
          'scrape_configs:',
          ...job('occ', 'token'),
          ...job('stranger', 'wrong'),
          '',
        ].join('\n'),
      },
      command: (at) => [
        PROMETHEUS,
        `--config.file=${at('prometheus.yml')}`,
        `--storage.tsdb.path=${join(at('data'))}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      ready: port,
    });
    api = `http://127.0.0.1:${port}/api/v1/query`;
  });
  after(async () => {
    await daemon?.[Symbol.asyncDispose]();
    await running?.[Symbol.asyncDispose]();
  });

  const ask = async (query: string): Promise<readonly Result[]> => {
    const response = await fetch(`${api}?${new URLSearchParams({ query })}`);
    const answer = (await response.json()) as { status: string; data: { result: readonly Result[] } };
    expect(answer.status, query).to.equal('success');
    return answer.data.result;
  };
  const eventually = (query: string, holds: (found: readonly Result[]) => boolean) =>
    until(
      async () => holds(await ask(query)),
      seconds(40),
      systemClock,
      () => `in vain: ${query} ${daemon?.output}`,
    );

  it('reads values, with whose they are', async () => {
    const memory = `occ_reading_value{machine_id="${machineId}",sensor="Memory"}`;
    await eventually(memory, (found) => found.length > 0);
    for (const { metric, value } of await ask(memory)) {
      expect(metric).to.include({ customer: 'demo', machine, sensor: 'Memory', job: 'occ' });
      expect(metric.metric).to.not.equal('');
      expect(Number(value[1])).to.be.at.least(0);
    }
    await eventually('min(occ_machine_up)', ([found]) => found?.value[1] === '1');
    await eventually('count(occ_machine_up)', ([found]) => found?.value[1] === '2');
    await eventually('occ_sensor_state{sensor="Memory"} == 2', (found) => found.length === 1);
    await eventually(`time() - occ_reading_timestamp_seconds{sensor="Memory"} < 10`, (found) => found.length === 1);
  });

  it('takes over every line', async () => {
    expect(daemon?.output).to.not.match(/duplicate|invalid|out of order|parse/i);
  });

  it('gets nothing without a good token (negative control)', async () => {
    await eventually('up{job="stranger"} == 0', (found) => found.length === 1);
    expect(await ask('up{job="occ"} == 1')).to.have.length(1);
    expect(await ask('occ_machine_up{job="stranger"}')).to.have.length(0);
  });

  it('draws no line for what is gone', async () => {
    await eventually('occ_reading_value', (found) => found.length > 0);
    await running?.mesh.connector.stop();
    await eventually('occ_machine_up == 0', (found) => found.length === 2);
    await eventually('occ_reading_value', (found) => found.length === 0);
  });
});
