// HTTP/2 from others: nghttp, which is strict, and frames that no decent client would send. Whatever they do, the
// cloud goes on for everybody else.
import { join } from 'node:path';
import { expect } from 'chai';
import { needs, program, run, type Tool } from '../support/programs.js';
import { type InteropMesh, startMesh } from './mesh.js';

const PYTHON = '/usr/bin/python3';
const H2: Tool = {
  debian: 'python3-h2',
  here: () =>
    run(PYTHON, ['-c', 'import h2']).then(
      ({ code }) => code === 0,
      () => false,
    ),
};

// Each is a function in rude_http2.py.
/** What ends the connection: at once, or with GOAWAY first and at the next keepalive. */
const FATAL = [
  'no_preface',
  'half_a_frame',
  'giant_frame',
  'settings_flood',
  'ping_flood',
  'broken_hpack',
  'endless_headers',
  'rapid_reset',
];
/** What has to be ignored (RFC 9113 section 5.5), or ends one call at most. */
const TOLERABLE = ['unknown_frames', 'giant_message', 'bad_message', 'no_window'];

describe('HTTP/2 from others', function () {
  this.timeout(60_000);
  let running: InteropMesh | undefined;

  before(async function () {
    await needs(this, [program('nghttp', 'nghttp2-client'), H2]);
    running = await startMesh();
  });
  after(() => running?.[Symbol.asyncDispose]());

  const started = (): InteropMesh => {
    if (!running) throw new Error('no mesh');
    return running;
  };

  /** The cloud has not been restarted, answers, and has not said that something is wrong with it. */
  async function expectAlive(pid: number | undefined): Promise<void> {
    const { mesh } = started();
    expect(mesh.cloud.pid).to.equal(pid);
    expect(mesh.cloud.running).to.equal(true);
    expect(await mesh.client.customers.listCustomers()).to.have.property('customers');
    expect(await mesh.cloud.log()).to.not.match(/"level":"(error|fatal)"/);
  }

  it('nghttp gets an answer that it finds nothing wrong with', async () => {
    const { cloud, mesh } = started();
    const { code, stdout, stderr } = await run('nghttp', ['-v', '-y', `https://${cloud}/nothing`]);
    expect(code, stderr).to.equal(0);
    expect(stdout)
      .to.contain('The negotiated protocol: h2')
      .and.match(/:status: \d+/);
    expect(stdout).to.not.match(/PROTOCOL_ERROR|INVALID/);
    await expectAlive(mesh.cloud.pid);
  });

  for (const kind of [...FATAL, ...TOLERABLE]) {
    it(`${FATAL.includes(kind) ? 'ends' : 'bears'} ${kind.replaceAll('_', ' ')}`, async () => {
      const { mesh, caFile } = started();
      const { pid } = mesh.cloud;
      const client = join(import.meta.dirname, 'python/rude_http2.py');
      const { code, stdout, stderr } = await run(PYTHON, [client, '127.0.0.1', `${mesh.cloudPort}`, caFile, kind]);
      expect(code, stderr).to.equal(0);
      expect(/goaway [1-9]|closed/.test(stdout), stdout).to.equal(FATAL.includes(kind));
      await expectAlive(pid);
    });
  }
});
