// The conformance program judges our own cloud, and our own connector: every rule is kept. That it can tell when one is
// not: test/unit/conformance.
import { join } from 'node:path';
import { expect } from 'chai';
import { Role } from '../../src/client/index.js';
import type { Finding } from '../../src/conformance/rule.js';
import { RULES } from '../../src/conformance/run.js';
import type { LocalMesh } from '../../src/demo/mesh.js';
import { endMesh, startMesh } from '../support/mesh-site.js';
import { ROOT, run } from '../support/programs.js';

const PROGRAM = join(ROOT, 'dist/src/conformance/main.js');

describe('conformance', function () {
  this.timeout(120_000);
  let mesh: LocalMesh;
  before(async () => {
    mesh = await startMesh();
    await mesh.startConnector();
  });
  after(() => endMesh(mesh));

  /** What it says of whoever listens there. */
  const findingsOf = async (what: 'cloud' | 'connector', port: number): Promise<Finding[]> => {
    const tokens = [await mesh.token(Role.HUB, `${what}-1`), await mesh.token(Role.HUB, `${what}-2`)];
    const client = join(mesh.options.directory, 'cloud', 'client.yaml');
    const { code, stdout, stderr } = await run(
      process.execPath,
      [
        ...[PROGRAM, `127.0.0.1:${port}`, '--json', '--client', client],
        ...tokens.flatMap((token) => ['--token-file', token]),
        ...['--connector-token', await mesh.token(Role.CONNECTOR, `${what}-3`)],
      ],
      { patience: 100_000 },
    );
    expect(code, stderr).to.be.oneOf([0, 1]);
    const { target, findings } = JSON.parse(stdout) as { target: string; findings: Finding[] };
    expect(target).to.equal(`${what} 127.0.0.1:${port}`);
    return findings;
  };

  // Side by side: a connector lets a hub come once in a second, and the program waits as it is told to.
  it('our own cloud and connector keep every rule', async () => {
    const [cloud, connector] = await Promise.all([
      findingsOf('cloud', mesh.cloudPort),
      findingsOf('connector', mesh.connectorPort),
    ]);
    expect(cloud.filter(({ outcome }) => outcome !== 'kept')).to.deep.equal([]);
    // A connector has no trunks, it is at the other end of one.
    const notKept = connector.filter(({ outcome }) => outcome !== 'kept');
    expect(notKept.filter(({ id, outcome }) => outcome === 'broken' || !id.startsWith('trunk.'))).to.deep.equal([]);
    for (const findings of [cloud, connector]) {
      expect(findings.map(({ id }) => id)).to.deep.equal(RULES.map(({ id }) => id));
    }
  });
});
