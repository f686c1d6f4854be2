// Secrets on the command line: where tokens come from, where they go, and that they never stand in arguments,
// environments or messages.
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Command } from 'commander';
import { buildProgram } from '../../../src/cli/program.js';
import { readTokenFile } from '../../../src/cli/token-file.js';
import { Scope as AccessScope, Caller, Role } from '../../../src/client/index.js';
import { ApiFault } from '../../../src/contract/fault.js';
import { MeshAuthority } from '../../../src/identity/authority.js';
import { formatEnrollmentToken } from '../../../src/identity/token-text.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { describe as wordsOf } from '../../../src/kernel/fault.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { Scope } from '../../../src/kernel/scope.js';
import { ACME, id, LAPTOP } from './fake-cloud.js';
import { Office, occ, temporaryFolder, testTerminal } from './support.js';

const ENROLLMENT = 'occ1.secret-enrolment-token';
const API = 'secret-api-token';

describe('tokens', () => {
  let office: Office;
  beforeEach(async () => {
    office = await Office.open();
  });
  afterEach(() => office[Symbol.asyncDispose]());

  it('prints a new one on standard output and nothing else there', async () => {
    const made = await office.occ('tokens', 'create', '--customer', 'acme', '--role', 'hub', '--uses', '5');
    expect(made).to.deep.equal({
      code: 0,
      out: `${ENROLLMENT}\n`,
      err: 'Token for a hub of Acme, 5 machines, good for 1h. It is a secret, and not shown again.\n',
    });
  });

  it('passes on what was said', async () => {
    const words = ['--lifetime', '2d', '--connector', 'a:1', '--connector', '[::1]:2', '--name', 'office'];
    await office.occ('tokens', 'create', '--customer', ACME, '--role', 'connector', ...words);
    await office.occ('tokens', 'create-api', '--caller', 'reader', '--customer', 'acme', '--lifetime', '30d');
    expect(office.cloud.asked('createEnrollmentToken')).to.deep.equal([
      {
        customerId: ACME,
        role: Role.CONNECTOR,
        uses: 0,
        lifetimeMs: 172_800_000,
        connectors: ['a:1', '[::1]:2'],
        name: 'office',
        machineId: '',
      },
    ]);
    expect(office.cloud.asked('createApiToken')).to.deep.equal([
      { caller: Caller.CUSTOMER_READER, customerId: ACME, lifetimeMs: 2_592_000_000, name: '', scopes: [] },
    ]);
  });

  it('takes no lifetime of nothing, which the cloud would take for the default, or for ever', async () => {
    for (const kind of [
      ['create', '--role', 'hub'],
      ['create-api', '--caller', 'reader'],
    ]) {
      const refused = await office.occ('tokens', ...kind, '--customer', 'acme', '--lifetime', '0s');
      expect([refused.code, refused.out]).to.deep.equal([2, '']);
      expect(refused.err).to.contain('must be longer than nothing');
    }
    expect(office.cloud.calls).to.deep.equal([]);
  });

  it('is for a new machine of a role, or for one that comes back', async () => {
    expect((await office.occ('tokens', 'create', '--for-machine', 'laptop')).code).to.equal(0);
    const [asked] = office.cloud.asked('createEnrollmentToken');
    expect(asked).to.deep.include({ customerId: ACME, machineId: LAPTOP, role: Role.UNSPECIFIED });
    for (const words of [[], ['--role', 'hub', '--for-machine', 'laptop']]) {
      const { code, err } = await office.occ('tokens', 'create', ...words);
      expect(code).to.equal(2);
      expect(err).to.contain('either --role or --for-machine');
    }
  });

  it('writes a file of mode 0600, and then the secret is nowhere else', async () => {
    const made = await office.occ(
      'tokens',
      'create',
      '--customer',
      'acme',
      '--role',
      'hub',
      '--out',
      'hub.token',
      '--json',
    );
    const file = join(office.folder, 'hub.token');
    expect(made.code).to.equal(0);
    expect(made.out + made.err).not.to.contain(ENROLLMENT);
    expect(JSON.parse(made.out)).to.include({ file, customer: 'Acme', role: 'hub' });
    expect(await readFile(file, 'utf8')).to.equal(`${ENROLLMENT}\n`);
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
  });

  it('makes no token that it could not write, and leaves no empty file behind', async () => {
    const file = join(office.folder, 'hub.token');
    await writeFile(file, 'precious');
    const words = ['tokens', 'create-api', '--caller', 'operator', '--out', 'hub.token'];
    const refused = await office.occ(...words);
    expect(refused.code).to.equal(10);
    expect(refused.err).to.contain('exists already');
    expect(await readFile(file, 'utf8')).to.equal('precious');
    expect(office.cloud.asked('createApiToken')).to.deep.equal([]);
    office.cloud.failNext = new ApiFault('api.denied', 'no');
    expect((await office.occ('tokens', 'create-api', '--caller', 'operator', '--out', 'other.token')).code).to.equal(8);
    expect(await stat(join(office.folder, 'other.token')).catch((error) => error.code)).to.equal('ENOENT');
  });

  it('asks for the customer unless there is only one', async () => {
    const which = await office.occ('tokens', 'create', '--role', 'hub');
    expect(which.code).to.equal(2);
    expect(which.err).to.contain('Say --customer: Acme, Birch & Co.');
    office.cloud.content.customers.length = 1;
    expect((await office.occ('tokens', 'create', '--role', 'hub')).code).to.equal(0);
    office.cloud.content.customers.length = 0;
    expect((await office.occ('tokens', 'create', '--role', 'hub')).err).to.contain('occ customers create NAME');
    expect((await office.occ('tokens', 'create-api', '--caller', 'operator', '--customer', 'acme')).code).to.equal(2);
  });

  it('says what a service may do', async () => {
    const make = (...more: string[]) => office.occ('tokens', 'create-api', '--caller', 'service', ...more);
    expect((await make('--customer', 'acme', '--scope', 'readings-read', '--scope', 'events-write')).code).to.equal(0);
    expect((await make('--all-customers', '--scope', 'inventory-read')).code).to.equal(0);
    const asked = office.cloud.asked('createApiToken') as {
      customerId: string;
      caller: Caller;
      scopes: AccessScope[];
    }[];
    expect(asked.map(({ customerId, caller, scopes }) => [customerId, caller, scopes])).to.deep.equal([
      [ACME, Caller.SERVICE, [AccessScope.READINGS_READ, AccessScope.EVENTS_WRITE]],
      ['', Caller.SERVICE, [AccessScope.INVENTORY_READ]],
    ]);
    expect((await make('--customer', 'acme')).code).to.equal(2);
    expect((await make('--customer', 'acme', '--scope', 'everything')).err).to.contain('enrollment-write');
    expect((await make('--customer', 'acme', '--all-customers', '--scope', 'readings-read')).code).to.equal(2);
    const reader = ['tokens', 'create-api', '--caller', 'reader', '--customer', 'acme', '--scope', 'readings-read'];
    expect((await office.occ(...reader)).code).to.equal(2);
  });

  it('lists and revokes, by name too', async () => {
    expect((await office.occ('tokens', 'list')).out).to.equal(
      [
        'NAME        KIND        FOR       CUSTOMER  STATE    USED    EXPIRES  LAST USED  ID',
        `new office  enrollment  hub       Acme      good     2 of 5  in 1h               ${id(91)}`,
        `            api         operator            revoked          never    never      ${id(92)}`,
        '',
      ].join('\n'),
    );
    expect((await office.json('tokens', 'list')) as object[]).to.have.length(2);
    expect(
      ((await office.json('tokens', 'list', '--usable')) as { id: string }[]).map((token) => token.id),
    ).to.deep.equal([id(91)]);
    expect((await office.occ('tokens', 'revoke', 'New Office')).code).to.equal(0);
    expect(office.cloud.asked('revokeToken')).to.deep.equal([{ id: id(91) }]);
    expect((await office.occ('tokens', 'revoke', 'old')).code).to.equal(9);
  });

  it('refuses an API token that others can read', async () => {
    await chmod(join(office.folder, 'api.token'), 0o644);
    const { code, err } = await office.occ('customers', 'list');
    expect(code).to.equal(6);
    expect(err).to.contain('chmod 600');
  });
});

describe('secrets and arguments', () => {
  function* commands(command: Command): Generator<Command> {
    yield command;
    for (const child of command.commands) yield* commands(child);
  }

  it('has no option and no argument that carries the text of a secret', async () => {
    const options = [...commands(await buildProgram(testTerminal()))].flatMap((command) =>
      command.options.map((option) => ({ command: command.name(), flags: option.flags })),
    );
    const secret = options.filter(({ flags }) => /token|secret|password|key\b/i.test(flags));
    expect(secret.map(({ flags }) => flags)).to.have.members([
      '--smtp-password-file <file>',
      '--token-file <file>',
      '--token-file <file>',
      '--token-file <file>',
      '--token-file <file>',
      '--set <key=value>',
      '--set <key=value>',
      '--unset <key>',
    ]);
    expect(options.length).to.be.greaterThan(50);
  });

  it('does not repeat a token that was given where a file belongs', async () => {
    await using scope = new Scope();
    const authority = await MeshAuthority.create('test', { clock: systemClock, random: systemRandom });
    const token = {
      cloud: 'cloud.example:443',
      caCertificates: [authority.certificate],
      enrollmentKey: systemRandom.bytes(32),
      tokenId: systemRandom.bytes(16),
      secret: systemRandom.bytes(32),
      customerId: uuidBytes(ACME),
      role: Role.HUB,
      expiresAtMs: 1,
      connectors: [],
      machineId: Buffer.alloc(0),
    };
    const text = formatEnrollmentToken(token);
    const folder = await temporaryFolder(scope);
    const words = ['hub', '--data', folder, '--no-multicast', '--log-level', 'silent', '--token-file'];
    for (const given of [text, text.slice(0, 200)]) {
      const { code, out, err } = await occ([...words, given]);
      expect(code).to.equal(3);
      expect(err).to.contain('--token-file takes the name of a file');
      expect(out + err).not.to.contain(text.slice(0, 20));
    }
    // It is read from files, readable ones too, and from standard input.
    const file = join(folder, 'token');
    await writeFile(file, `${text}\n`, { mode: 0o644 });
    for (const source of [file, '-']) {
      const read = await readTokenFile(source, testTerminal({ stdin: text }), silentLogger);
      expect(read?.cloud).to.equal('cloud.example:443');
    }
    expect(await readTokenFile(join(folder, 'none'), testTerminal(), silentLogger)).to.equal(undefined);
    const directory: unknown = await readTokenFile(folder, testTerminal(), silentLogger).catch((fault) => fault);
    expect(directory).to.include({ code: 'cli.config' }).and.to.have.property('advice').that.contains('is a file');
    expect(await readTokenFile(undefined, testTerminal(), silentLogger)).to.equal(undefined);
    await writeFile(file, `${text.slice(0, 100)}!`);
    const bad = await readTokenFile(file, testTerminal(), silentLogger).then(() => undefined, wordsOf);
    expect(bad).to.be.a('string').and.not.to.contain(text.slice(5, 60));
  });
});

describe('what is never printed', () => {
  it('is the API token', async () => {
    await using office = await Office.open();
    const { out, err } = await occ(
      ['customers', 'list', '--json'],
      office.terminal({ env: { OCC_CLIENT: join(office.folder, 'client.yaml'), OCC_DEBUG: '1' } }),
    );
    expect(out + err)
      .not.to.contain(API)
      .and.not.to.contain('occ-api.of-these-tests');
  });
});
