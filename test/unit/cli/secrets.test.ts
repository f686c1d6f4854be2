// `occ secrets …`: what is shown, what leaves the program, and how a secret is typed.
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import type { PutSecretRequest } from '../../../gen/occmesh/secrets/v1/secrets.js';
import { readSecret, type SecretInput } from '../../../src/cli/secret-input.js';
import type { Terminal } from '../../../src/cli/terminal.js';
import { ContractFault } from '../../../src/contract/fault.js';
import { SealingKeyPair } from '../../../src/identity/sealing-keys.js';
import { openSecret } from '../../../src/identity/secret-sealing.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { ACME, PC } from './fake-cloud.js';
import { Office, occ } from './support.js';

const CANARY = 'canary-5b1f';
const SET = ['secrets', 'set', '--sensor', `${PC}/1`, '--field', 'password'];

describe('occ secrets', () => {
  let office: Office;
  beforeEach(async () => {
    office = await Office.open();
  });
  afterEach(() => office[Symbol.asyncDispose]());

  /** Certificates are looked at, so it is today. */
  const terminal = (options: Pick<Terminal, 'readSecret'>) => office.terminal({ clock: systemClock, ...options });

  const put = () => office.cloud.asked('putSecret') as PutSecretRequest[];

  async function opened(request: PutSecretRequest | undefined): Promise<string> {
    if (request?.secret?.$case !== 'sealed') throw new Error('not sealed');
    const { value } = request.secret;
    const target = Object.fromEntries(value.target.map(({ name, value: part }) => [name, part]));
    const place = { customerId: ACME, machineId: PC, sensor: 1, field: 'password', version: value.version, target };
    return (await openSecret(office.cloud.hub.sealing, place, value)).toString();
  }

  it('seals in this program, after it has said who will learn it; only ciphertext leaves', async () => {
    const typed = Buffer.from(CANARY);
    const { code, out, err } = await occ(SET, terminal({ readSecret: async () => typed }));
    expect(code, err).to.equal(0);
    expect(err).to.contain('Who will learn it: host=db.example user=monitor');
    expect(out).to.match(/password +pending +\S.* ago +host=db.example user=monitor/);
    expect(await opened(put()[0])).to.equal(CANARY);
    expect(typed.equals(Buffer.alloc(CANARY.length)), 'wiped').to.equal(true);
    const everything = JSON.stringify(office.cloud.calls) + out + err;
    expect(everything).to.contain('db.example');
    expect(everything).to.not.contain(CANARY);
    const bytes = JSON.stringify([...Buffer.from(CANARY)]).slice(1, -1);
    expect(everything).to.not.contain(bytes);
  });

  it('takes no secret as an argument', async () => {
    const { code } = await office.occ(...SET, CANARY);
    expect(code).to.equal(2);
    expect(office.cloud.calls).to.deep.equal([]);
  });

  it('prints JSON', async () => {
    const { out } = await occ([...SET, '--json'], terminal({ readSecret: async () => Buffer.from('x') }));
    expect(JSON.parse(out)).to.deep.include({
      sensorId: `${PC}/1`,
      field: 'password',
      state: 'pending',
      target: { host: 'db.example', user: 'monitor' },
    });
    expect(await office.json('secrets', 'list')).to.have.length(2);
  });

  it('seals again when the hub has changed meanwhile, asks once, and follows no other target', async () => {
    let asked = 0;
    const readSecret = async () => {
      asked += 1;
      office.cloud.failNext = new ContractFault('contract.aborted', 'changed');
      // Also fails the next call to prepare, were it made in between.
      return Buffer.from(CANARY);
    };
    expect((await occ(SET, terminal({ readSecret }))).code).to.equal(0);
    expect([asked, put().length, office.cloud.asked('getSealingContext').length]).to.deep.equal([1, 2, 2]);
    expect(await opened(put()[1])).to.equal(CANARY);

    const redirected = async () => {
      office.cloud.failNext = new ContractFault('contract.aborted', 'changed');
      office.cloud.target = [{ name: 'host', value: 'evil.example' }];
      return Buffer.from(CANARY);
    };
    const { code, err } = await occ(SET, terminal({ readSecret: redirected }));
    expect(code).to.equal(10);
    expect(err).to.contain('another target meanwhile; nothing was entered');
    expect(put()).to.have.length(3);
  });

  it('believes no key that the hub has not signed for', async () => {
    office.cloud.shownKey = SealingKeyPair.generate().publicKey;
    const { code, err } = await occ(SET, terminal({ readSecret: async () => Buffer.from(CANARY) }));
    expect(code).to.equal(6);
    expect(err).to.contain('the hub has not signed for this sealing key').and.not.contain(CANARY);
    expect(put()).to.deep.equal([]);
  });

  it('enters nothing that is empty, too long or given up', async () => {
    for (const [secret, words, expected] of [
      [Buffer.alloc(0), 'it is empty', 10],
      [Buffer.alloc(4_097, 'a'), 'it is longer than 4096 bytes', 10],
      [undefined, 'nothing was entered', 130],
    ] as const) {
      const { code, err } = await occ(SET, terminal({ readSecret: async () => secret }));
      expect(code).to.equal(expected);
      expect(err).to.contain(words);
    }
    expect(put()).to.deep.equal([]);
  });

  it('lists how they are, with what is to be done, and removes', async () => {
    const { out } = await office.occ('secrets', 'list');
    expect(out)
      .to.match(/password +target changed, enter it again/)
      .and.to.match(/token +ready/);
    expect((await office.occ('secrets', 'remove', '--sensor', `${PC}/1`, '--field', 'token')).out).to.match(
      /token +not entered/,
    );
    expect(office.cloud.asked('deleteSecret')).to.deep.equal([{ sensorId: `${PC}/1`, field: 'token' }]);
  });

  it('rotates a key', async () => {
    expect((await office.occ('machines', 'rotate-key', PC)).code).to.equal(0);
    expect(office.cloud.asked('rotateSealingKey')).to.deep.equal([{ id: PC }]);
  });

  it('are part of what is said of a kind', async () => {
    expect((await office.occ('sensors', 'kinds', 'http')).out).to.match(/SECRET[\s\S]*password +Password for/);
  });
});

describe('a secret that is typed', () => {
  class Keyboard extends PassThrough implements SecretInput {
    readonly raw: boolean[] = [];
    constructor(readonly isTTY = true) {
      super();
    }
    setRawMode(raw: boolean) {
      this.raw.push(raw);
    }
  }

  async function typed(...keys: string[]): Promise<{ secret: string | undefined; screen: string; raw: boolean[] }> {
    const keyboard = new Keyboard();
    let screen = '';
    const output = {
      write: (text: string) => {
        screen += text;
      },
    };
    const secret = readSecret(keyboard, output, 'The password: ', 10);
    for (const key of keys) keyboard.write(Buffer.from(key));
    return { secret: (await secret)?.toString(), screen, raw: keyboard.raw };
  }

  it('is shown nowhere', async () => {
    expect(await typed('hunt', 'er2\r')).to.deep.equal({
      secret: 'hunter2',
      screen: 'The password: \n',
      raw: [true, false],
    });
  });

  it('can be mended, given up, and has a limit', async () => {
    expect((await typed('hünté\x7f\x7f', 'z\n')).secret).to.equal('hünz');
    expect((await typed('wrong\x15right\r')).secret).to.equal('right');
    expect((await typed('x'.repeat(50), '\r')).secret).to.equal('x'.repeat(10));
    expect((await typed('half', '\x03')).secret).to.equal(undefined);
    expect((await typed('\x04')).secret).to.equal(undefined);
    expect((await typed('all', '\x04')).secret).to.equal('all');
  });

  it('or piped: without the line end at its end, and only that', async () => {
    const piped = async (...chunks: string[]) => {
      const input = new Keyboard(false);
      for (const chunk of chunks) input.write(Buffer.from(chunk));
      input.end();
      return (await readSecret(input, { write: () => undefined }, '', 10))?.toString();
    };
    expect(await piped('hun', 'ter2\n')).to.equal('hunter2');
    expect(await piped('hunter2\r\n')).to.equal('hunter2');
    expect(await piped('a\nb\n\n')).to.equal('a\nb\n');
    expect(await piped('0123456789\n')).to.equal('0123456789');
    expect(await piped('0123456789abcdef')).to.equal('0123456789');
    expect(await piped('')).to.equal('');
  });
});
