// Discovery, as somebody else's SSDP implementation sees it: GSSDP's, which GNOME's UPnP programs are built on.
import { expect } from 'chai';
import { needs, program, run } from '../support/programs.js';
import { type InteropMesh, startMesh } from './mesh.js';

const CONNECTOR = 'urn:occ-mesh:service:connector:1';

const LOOPBACK = ['-i', 'lo'];

/** What `gssdp-discover` sees on loopback. It ends with 0 also when that is nothing. */
const discover = async (target: string) => {
  const { stdout, stderr, code } = await run('gssdp-discover', [...LOOPBACK, '-n', '3', '-t', target]);
  expect(code, stderr).to.equal(0);
  return stdout;
};

describe('SSDP, as gssdp-discover sees it', function () {
  this.timeout(60_000);
  let running: InteropMesh | undefined;
  let location = '';

  before(async function () {
    await needs(this, [program('gssdp-discover', 'gupnp-tools')]);
    running = await startMesh();
    await running.mesh.startConnector();
    location = `https://127.0.0.1:${running.mesh.connectorPort}/`;
  });
  after(() => running?.[Symbol.asyncDispose]());

  it('finds the connector, and where it listens', async () => {
    const seen = await discover(CONNECTOR);
    expect(seen).to.contain(location);
    expect(seen).to.contain(`::${CONNECTOR}`);
  });

  it('does not find it as something that it is not (negative control)', async () => {
    expect(await discover('urn:occ-mesh:service:cloud:1')).to.not.contain(location);
  });

  it('hears its goodbye', async () => {
    if (!running) throw new Error('no mesh');
    const { connector } = running.mesh;
    let stopping: Promise<void> | undefined;
    const onOutput = (seen: string) => {
      if (seen.includes(location)) stopping ??= connector.stop();
    };
    const { stdout } = await run('gssdp-discover', [...LOOPBACK, '-n', '6', '-m', 'all', '-t', CONNECTOR], {
      onOutput,
    });
    expect(stopping, 'found before it left').to.not.equal(undefined);
    await stopping;
    const [, goodbye = ''] = stdout.split('resource unavailable');
    expect(goodbye, stdout).to.contain(running.mesh.connectorId);
    expect(await discover(CONNECTOR)).to.not.contain(location);
  });
});
