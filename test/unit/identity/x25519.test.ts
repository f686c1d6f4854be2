// Public halves of X25519 keys: right, and never the end of a process.
import { generateKeyPairSync } from 'node:crypto';
import { expect } from 'chai';
import { publicBytes } from '../../../src/identity/x25519.js';
import { run } from '../../support/programs.js';

describe('identity: X25519', () => {
  it('gives the public key that belongs to the private one', () => {
    const { privateKey, publicKey } = generateKeyPairSync('x25519');
    expect(publicBytes(privateKey).toString('base64url')).to.equal(publicKey.export({ format: 'jwk' }).x);
  });

  // By way of JWK, Node 20 stood still for ever after some hundred to some thousand keys, in two processes of five; a
  // cloud with 10,000 hubs after a minute. That nothing is taken that way is seen in ../architecture.test.ts.
  it('is not stopped by what is collected meanwhile, in thousands of sessions', async function () {
    this.timeout(60_000);
    const many = `
      import { SessionKeyPair } from './src/link/frames.ts';
      for (let i = 0; i < 4_000; i++) if (new SessionKeyPair().publicKey.length !== 32) throw new Error('no key');
      process.stdout.write('done');`;
    const small = ['--max-semi-space-size=1', '--import', 'tsx', '--input-type=module', '--eval', many];
    const outcomes = await Promise.all([1, 2, 3, 4].map(() => run(process.execPath, small, { patience: 40_000 })));
    expect(outcomes.map(({ stdout, stderr }) => stdout || stderr)).to.deep.equal(Array(4).fill('done'));
  });
});
