// Which proxy counts: the configured one, else the environment's, with the exceptions that NO_PROXY makes.
import { expect } from 'chai';
import { proxyFor } from '../../../src/cli/proxy.js';
import { testTerminal } from './support.js';

const PROXY = 'http://proxy.example:3128';
const at = (cloud: string, env: Record<string, string>, configured?: string) =>
  proxyFor(cloud, configured, testTerminal({ env }));

describe('the proxy', () => {
  it('is the configured one, else that of the environment, else none', () => {
    expect(at('cloud.example:443', {})).to.equal(undefined);
    expect(at('cloud.example:443', { https_proxy: PROXY })).to.equal(PROXY);
    expect(at('cloud.example:443', { HTTPS_PROXY: PROXY })).to.equal(PROXY);
    expect(at('cloud.example:443', { https_proxy: '', HTTPS_PROXY: PROXY })).to.equal(PROXY);
    expect(at('cloud.example:443', { HTTPS_PROXY: PROXY }, 'http://other:1')).to.equal('http://other:1');
    expect(at('cloud.example:443', { http_proxy: PROXY })).to.equal(undefined);
  });

  it('is never asked for this machine itself, unless configured', () => {
    for (const cloud of ['localhost:443', '127.0.0.1:443', '127.8.8.8:443', '[::1]:443']) {
      expect(at(cloud, { https_proxy: PROXY }), cloud).to.equal(undefined);
      expect(at(cloud, { https_proxy: PROXY }, PROXY), cloud).to.equal(PROXY);
    }
  });

  const exceptions: readonly (readonly [noProxy: string, cloud: string, exempt: boolean])[] = [
    ['*', 'cloud.example:443', true],
    ['cloud.example', 'cloud.example:443', true],
    ['example', 'cloud.example:443', true],
    ['.example', 'cloud.example:443', true],
    ['*.example', 'cloud.example:443', true],
    ['CLOUD.example', 'cloud.example:443', true],
    ['oud.example', 'cloud.example:443', false],
    ['other, cloud.example', 'cloud.example:443', true],
    ['cloud.example:443', 'cloud.example:443', true],
    ['cloud.example:8443', 'cloud.example:443', false],
    ['192.0.2.1', '192.0.2.1:443', true],
    ['192.0.2.0/24', '192.0.2.77:443', true],
    ['192.0.3.0/24', '192.0.2.77:443', false],
    ['192.0.2.0/99', '192.0.2.77:443', false],
    ['2001:db8::/32', '[2001:db8::5]:443', true],
    ['', 'cloud.example:443', false],
  ];
  for (const [noProxy, cloud, exempt] of exceptions) {
    it(`NO_PROXY=${noProxy || '(empty)'} ${exempt ? 'exempts' : 'does not exempt'} ${cloud}`, () => {
      expect(at(cloud, { https_proxy: PROXY, NO_PROXY: noProxy })).to.equal(exempt ? undefined : PROXY);
      expect(at(cloud, { https_proxy: PROXY, no_proxy: noProxy })).to.equal(exempt ? undefined : PROXY);
    });
  }
});
