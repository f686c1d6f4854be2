// What runs where: versions compared, and the fleet grouped by them.
import { expect } from 'chai';
import fc from 'fast-check';
import { behind, byVersion } from '../../../src/cli/versions.js';
import { LAPTOP, PC } from './fake-cloud.js';
import { Office } from './support.js';

describe('versions', () => {
  it('are as far apart as their first difference', () => {
    const cloud = 'occ-mesh/1.4.2';
    const distances = ['1.4.2', '1.4.1', '1.3.9', '0.9.9', '1.4.3', '2.0.0'].map((v) => behind(`occ-mesh/${v}`, cloud));
    expect(distances).to.deep.equal(['same', 'patch', 'minor', 'major', 'ahead', 'ahead']);
    for (const odd of ['', 'occ-mesh/1.4', 'other/1.4.2', 'occ-mesh/unknown', `occ-mesh/${'9'.repeat(400)}.0.0`]) {
      expect(behind(odd, cloud), odd).to.equal('unknown');
    }
    expect(behind('occ-mesh/1.4.2-rc.1+x', cloud)).to.equal('same');
  });

  it('have one order, which agrees with the distances', () => {
    const part = fc.integer({ min: 0, max: 3 });
    const version = fc.oneof(
      { weight: 4, arbitrary: fc.tuple(part, part, part).map((parts) => `occ-mesh/${parts.join('.')}`) },
      fc.constantFrom('', 'x', 'occ-mesh/y'),
    );
    fc.assert(
      fc.property(version, version, version, (a, b, c) => {
        expect(Math.sign(byVersion(a, b))).to.equal(-Math.sign(byVersion(b, a)) || 0);
        if (byVersion(a, b) <= 0 && byVersion(b, c) <= 0) expect(byVersion(a, c)).to.be.at.most(0);
        const distance = behind(a, b);
        if (distance === 'ahead') expect(byVersion(a, b)).to.be.greaterThan(0);
        if (['patch', 'minor', 'major'].includes(distance)) expect(byVersion(a, b)).to.be.lessThan(0);
      }),
    );
  });
});

describe('occ fleet', () => {
  let office: Office;
  beforeEach(async () => {
    office = await Office.open();
    office.cloud.content.software = 'occ-mesh/0.2.0';
    for (const machine of office.cloud.content.machines) {
      if (machine.id === PC) machine.software = 'occ-mesh/0.2.0';
      if (machine.id === LAPTOP) machine.software = '';
    }
  });
  afterEach(() => office[Symbol.asyncDispose]());

  it('groups by version and role, oldest first', async () => {
    const { out, code } = await office.occ('fleet');
    expect(code).to.equal(0);
    expect(out).to.equal(
      [
        'Cloud: occ-mesh/0.2.0',
        '',
        'VERSION         ROLE       MACHINES  BEHIND           SEEN LONGEST AGO  CUSTOMERS',
        'unknown         hub        1         unknown          2h ago            Acme',
        'occ-mesh/0.1.0  connector  1         a minor version  3s ago            Acme',
        'occ-mesh/0.1.0  hub        2         a minor version  3s ago            Acme, Birch & Co',
        'occ-mesh/0.2.0  hub        1         no               3s ago            Acme',
        '',
      ].join('\n'),
    );
  });

  it('tells programs the same, one customer alone, and what is behind alone', async () => {
    expect(await office.json('fleet', '--behind', '--customer', 'acme')).to.deep.equal({
      cloud: 'occ-mesh/0.2.0',
      groups: [
        { role: 'hub', count: 1, behind: 'unknown', oldestSeenAt: '2026-01-01T10:00:00.000Z', customers: ['Acme'] },
        ...['connector', 'hub'].map((role) => ({
          ...{ software: 'occ-mesh/0.1.0', role, count: 1, behind: 'minor' },
          ...{ oldestSeenAt: '2026-01-01T11:59:57.000Z', customers: ['Acme'] },
        })),
      ],
    });
  });

  it('says so when nothing is behind, and when there is nothing', async () => {
    for (const machine of office.cloud.content.machines) machine.software = 'occ-mesh/0.2.0';
    expect((await office.occ('fleet', '--behind')).err).to.equal('Nothing is behind.\n');
    office.cloud.content.machines.length = 0;
    expect((await office.occ('fleet')).err).to.equal('There is no machine yet.\n');
  });
});
