// Configuration files: what is accepted, and the exact words for what is not.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { Command } from 'commander';
import { nearest, parseYaml } from '../../../src/cli/config/load.js';
import { addRoleFlags, roleValues } from '../../../src/cli/config/role-config.js';
import { CLOUD_SETTINGS, CONNECTOR_SETTINGS, HUB_SETTINGS } from '../../../src/cli/config/role-settings.js';
import { fileSchema, type Settings, type ValuesOf } from '../../../src/cli/config/settings.js';
import { CliFault } from '../../../src/cli/fault.js';
import { Scope } from '../../../src/kernel/scope.js';
import { occ, temporaryFolder, testTerminal } from './support.js';

function read(text: string, settings: Settings = HUB_SETTINGS): unknown {
  return parseYaml(text, 'hub.yaml', fileSchema(settings, '/etc/occ'), Object.keys(settings));
}

function complaint(text: string): CliFault {
  try {
    read(text);
  } catch (thrown) {
    if (thrown instanceof CliFault) return thrown;
    throw thrown;
  }
  throw new Error('it was accepted');
}

/** The values of a role, as from its command line. */
async function values<S extends Settings>(settings: S, ...args: string[]): Promise<ValuesOf<S>> {
  const command = new Command('role').exitOverride().configureOutput({ writeErr: () => {} });
  addRoleFlags(command, settings, testTerminal({ cwd: '/here' }));
  let found: ValuesOf<S> = {};
  command.action(async () => {
    found = await roleValues(command, settings);
  });
  await command.parseAsync(args, { from: 'user' });
  return found;
}

describe('configuration files', () => {
  it('takes every kind of value, paths relative to the file', () => {
    const text = [
      'data: ../data',
      'connectors: [192.0.2.10:11000, "[2001:db8::1]:11000"]',
      'direct: false',
      'multicast: true',
      'interfaces: [eth0]',
      'tokenFile: hub.token',
      'ssdpPort: 1901',
      'fallbackAfter: 5s',
      'walSize: 64MiB',
      'logLevel: debug',
    ].join('\n');
    expect(read(text)).to.deep.equal({
      data: '/etc/data',
      connectors: ['192.0.2.10:11000', '[2001:db8::1]:11000'],
      direct: false,
      multicast: true,
      interfaces: ['eth0'],
      tokenFile: '/etc/occ/hub.token',
      ssdpPort: 1_901,
      fallbackAfter: 5_000,
      walSize: 67_108_864,
      logLevel: 'debug',
    });
  });

  it('takes an empty file', () => {
    expect(read('')).to.deep.equal({});
    expect(read('# nothing yet\n')).to.deep.equal({});
  });

  const golden: readonly (readonly [what: string, text: string, message: string])[] = [
    [
      'an unknown key, with the one that was meant',
      'data: /x\nconector: [a:1]\n',
      'hub.yaml: line 2: "conector" is not a key of this file; did you mean "connectors"?',
    ],
    [
      'a misspelt key',
      'data: /x\n\nmulticas: no\n',
      'hub.yaml: line 3: "multicas" is not a key of this file; did you mean "multicast"?',
    ],
    ['a wrong type', 'direct: maybe\n', 'hub.yaml: line 1: "direct" is not good: it must be true or false'],
    ['a list where one belongs', 'data: [a]\n', 'hub.yaml: line 1: "data" is not good: it must be one text or number'],
    [
      'one where a list belongs',
      'data: x\nconnectors: a:1\n',
      'hub.yaml: line 2: "connectors" is not good: it must be a list',
    ],
    [
      'a bad item of a list',
      'connectors:\n  - a:1\n  - nowhere\n',
      'hub.yaml: line 3: "connectors.1" is not good: "nowhere" is not an address: the port is missing; write it as host:port',
    ],
    [
      'a bad duration',
      'fallbackAfter: 5 minutes\n',
      'hub.yaml: line 1: "fallbackAfter" is not good: write it like 500ms, 30s, 5m, 12h or 90d',
    ],
    [
      'a bad word',
      'logLevel: loud\n',
      'hub.yaml: line 1: "logLevel" is not good: it must be one of trace, debug, info, warn, error, silent',
    ],
    ['a key that is there twice', 'data: a\ndirect: true\ndata: b\n', 'hub.yaml: line 3: Map keys must be unique'],
    ['what is not YAML', 'data: "x\n', 'hub.yaml: line 2: Missing closing "quote'],
    [
      'what is not keys and values',
      '- data\n',
      'hub.yaml: it must hold keys and values, like "data: /var/lib/occ/hub"',
    ],
    [
      'several problems at once',
      'direct: 1\nports: 2\n',
      'hub.yaml:\n  line 1: "direct" is not good: it must be true or false\n  line 2: "ports" is not a key of this file',
    ],
  ];
  for (const [what, text, message] of golden) {
    it(`says what is wrong with ${what}`, () => {
      const fault = complaint(text);
      expect(fault.message).to.equal(message);
      expect(fault.code).to.equal('cli.config');
      expect(fault.advice).to.match(/^The keys of this file are data, logLevel, .*multicast\.$/);
    });
  }

  it('knows which key was meant, and when none was', () => {
    expect(nearest('Listen', ['listen', 'names'])).to.equal('listen');
    expect(nearest('lisetn', ['listen', 'names'])).to.equal('listen');
    expect(nearest('port', ['listen', 'names'])).to.equal(undefined);
  });

  it('does not expand a bomb of aliases', () => {
    const levels = Array.from({ length: 20 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`);
    expect(complaint(`a0: &a0 [x]\n${levels.join('\n')}\n`).message).to.contain('Excessive alias count');
  });
});

describe('flags and files together', () => {
  it('say where data is unless somebody says otherwise', async () => {
    for (const role of ['hub', 'connector', 'cloud'])
      expect((await occ([role, '--help'])).out.replaceAll(/\s+/g, ' '), role).to.contain('/var/lib/occ/ROLE');
  });

  it('lets flags win, and says nothing of what was not said', async () => {
    await using scope = new Scope();
    const folder = await temporaryFolder(scope);
    const file = join(folder, 'hub.yaml');
    await writeFile(file, 'data: data\nconnectors: [a:1]\nlogLevel: warn\n');
    expect(
      await values(HUB_SETTINGS, '--config', file, '--connector', 'b:2', '--connector', 'c:3', '--no-direct'),
    ).to.deep.equal({
      data: join(folder, 'data'),
      connectors: ['b:2', 'c:3'],
      logLevel: 'warn',
      direct: false,
    });
    expect(await values(HUB_SETTINGS)).to.deep.equal({});
  });

  it('takes paths of flags from where the command is run', async () => {
    expect(
      await values(CONNECTOR_SETTINGS, '--data', 'x', '--token-file', '-', '--listen', '127.0.0.1:0'),
    ).to.deep.equal({
      data: '/here/x',
      tokenFile: '-',
      listen: { host: '127.0.0.1', port: 0 },
    });
    expect(await values(CLOUD_SETTINGS, '--name', 'a', '--name', '192.0.2.1', '--public', 'a:443')).to.deep.equal({
      names: ['a', '192.0.2.1'],
      public: 'a:443',
    });
  });

  it('ends with 2 and names the flag for a bad value', async () => {
    const { code, err } = await occ(['hub', '--connector', 'nowhere']);
    expect(code).to.equal(2);
    expect(err).to.contain("'--connector <host:port>' argument 'nowhere' is invalid. ");
    expect(err).to.contain('the port is missing');
  });

  it('ends with 3 for a bad or missing file', async () => {
    await using scope = new Scope();
    const folder = await temporaryFolder(scope);
    await writeFile(join(folder, 'bad.yaml'), 'listen: [1\n');
    const bad = await occ(['cloud', '--config', 'bad.yaml'], testTerminal({ cwd: folder }));
    expect(bad.code).to.equal(3);
    expect(bad.err).to.match(/^occ: bad\.yaml: line 2: .*\n {5}The keys of this file are data, /);
    const missing = await occ(['cloud', '--config', 'none.yaml'], testTerminal({ cwd: folder }));
    expect(missing.code).to.equal(3);
    expect(missing.err).to.contain(`${join(folder, 'none.yaml')} does not exist`);
  });
});
