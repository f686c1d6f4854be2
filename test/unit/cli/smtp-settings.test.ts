// A cloud's mail server: what may be left out, what goes together, and what is refused.
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { smtpSettings } from '../../../src/cli/smtp-settings.js';
import { Scope } from '../../../src/kernel/scope.js';
import { temporaryFolder } from './support.js';

describe('smtp settings', () => {
  let scope: Scope;
  let file: string;
  beforeEach(async () => {
    scope = new Scope();
    file = join(await temporaryFolder(scope), 'password');
    await writeFile(file, 'secret \n', { mode: 0o600 });
  });
  afterEach(() => scope.stop());

  const told = (values: Parameters<typeof smtpSettings>[0]) =>
    smtpSettings(values).then(
      () => 'no fault',
      (error: Error) => error.message,
    );
  const host = { smtpHost: 'mail.example', smtpFrom: 'alarms@provider.example' };

  it('are none, or complete with what is usual', async () => {
    expect(await smtpSettings({})).to.equal(undefined);
    const usual = { host: 'mail.example', from: 'alarms@provider.example', tls: 'required', port: 587 };
    expect(await smtpSettings(host)).to.deep.equal(usual);
    expect(await smtpSettings({ ...host, smtpTls: 'implicit' })).to.deep.equal({
      ...usual,
      tls: 'implicit',
      port: 465,
    });
    expect(await smtpSettings({ ...host, smtpUser: 'me', smtpPasswordFile: file })).to.deep.equal({
      ...usual,
      login: { user: 'me', password: 'secret ' },
    });
  });

  it('refuse what makes no sense', async () => {
    expect(await told({ smtpPort: 25 })).to.contain('without one');
    expect(await told({ smtpHost: 'x' })).to.contain('need a sender');
    expect(await told({ ...host, smtpFrom: 'a\r\nb' })).to.contain('no address');
    expect(await told({ ...host, smtpUser: 'me' })).to.contain('a user and a password');
    expect(await told({ ...host, smtpPasswordFile: file })).to.contain('a user and a password');
  });

  it('send no password in the clear, and take none that others can read', async () => {
    const login = { ...host, smtpUser: 'me', smtpPasswordFile: file };
    for (const smtpTls of ['none', 'opportunistic'] as const)
      expect(await told({ ...login, smtpTls })).to.contain('anybody could read it');
    await chmod(file, 0o644);
    expect(await told(login)).to.contain('holds a secret, but its mode is 0644');
    await chmod(file, 0o600);
    await writeFile(file, '\n');
    expect(await told(login)).to.contain('is empty');
    expect(await told({ ...login, smtpPasswordFile: '/nowhere/the-password-itself' })).to.equal(
      'the password file does not exist',
    );
  });
});
