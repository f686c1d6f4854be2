// Exit codes: each fault of every folder ends with one that means something, and no two meanings share a number.
import { expect } from 'chai';
import { EXIT, EXIT_MEANINGS, exitCodeOf } from '../../../src/cli/exit-codes.js';
import { CliFault } from '../../../src/cli/fault.js';
import { Fault } from '../../../src/kernel/fault.js';
import { occ } from './support.js';

class AnyFault extends Fault {}

describe('exit codes', () => {
  const table: readonly (readonly [string, number])[] = [
    ['cli.usage', 2],
    ['cli.config', 3],
    ['cli.failed', 1],
    ['cli.refused', 10],
    ['cli.not-found', 9],
    ['cli.ambiguous', 9],
    ['cli.interrupted', 130],
    ['contract.port-in-use', 4],
    ['contract.port-forbidden', 4],
    ['contract.cannot-listen', 4],
    ['contract.bad-setting', 3],
    ['contract.unavailable', 7],
    ['contract.deadline', 7],
    ['contract.proxy-refused', 7],
    ['contract.untrusted-peer', 6],
    ['contract.unauthenticated', 8],
    ['contract.denied', 8],
    ['contract.invalid', 2],
    ['contract.not-found', 9],
    ['contract.already-exists', 10],
    ['contract.precondition', 10],
    ['contract.internal', 1],
    ['metrics.port-in-use', 4],
    ['storage.in-use', 5],
    ['storage.damaged', 5],
    ['storage.unusable', 5],
    ['wal.newer', 5],
    ['wal.foreign', 6],
    ['inventory.damaged', 5],
    ['identity.bad-token', 6],
    ['identity.file-exposed', 6],
    ['identity.file-unusable', 5],
    ['membership.missing', 6],
    ['membership.other-machine', 6],
    ['membership.refused', 6],
    ['membership.damaged', 5],
    ['membership.unreachable', 7],
    ['kernel.illegal-transition', 1],
  ];
  for (const [fault, code] of table) {
    it(`${fault} ends with ${code}`, () => {
      expect(exitCodeOf(new AnyFault(fault, 'x'))).to.equal(code);
    });
  }

  it('ends with 1 for what nobody expected', () => {
    expect(exitCodeOf(new TypeError('x'))).to.equal(1);
    expect(exitCodeOf('text')).to.equal(1);
    expect(exitCodeOf(new CliFault('cli.failed', 'x'))).to.equal(1);
  });

  it('has one meaning for each number, told by --help', async () => {
    expect(EXIT_MEANINGS.map(([code]) => code)).to.deep.equal(Object.values(EXIT));
    const { code, out } = await occ(['--help']);
    expect(code).to.equal(0);
    for (const [, meaning] of EXIT_MEANINGS) expect(out).to.contain(meaning);
  });

  it('ends with 2 for commands and flags that there are not, and says what is near', async () => {
    const command = await occ(['machine', 'list']);
    expect(command.code).to.equal(2);
    expect(command.err).to.contain('Did you mean machines?');
    const flag = await occ(['hub', '--conector', 'a:1']);
    expect(flag.code).to.equal(2);
    expect(flag.err).to.contain('Did you mean --connector?');
    expect((await occ(['customers', 'create'])).code).to.equal(2);
    expect((await occ(['--version'])).code).to.equal(0);
  });
});
