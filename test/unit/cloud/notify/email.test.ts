// E-mails against a real SMTP server: envelope and headers, what hostile names can make of them, TLS, and a mail server
// that refuses, hangs or lies.
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { expect } from 'chai';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { AlarmRecord, NoticeRecord } from '../../../../src/cloud/alarms/records.js';
import { type Email, isEmailAddress, type SmtpSettings, sendEmail } from '../../../../src/cloud/notify/email.js';
import { emailText } from '../../../../src/cloud/notify/email-text.js';
import type { AlarmNames } from '../../../../src/cloud/notify/message.js';
import { systemClock } from '../../../../src/kernel/clock.js';
import { milliseconds } from '../../../../src/kernel/duration.js';
import { Scope } from '../../../../src/kernel/scope.js';
import { testAuthority } from '../../../support/throwaway-certificates.js';
import { uuidOf } from './post-office.js';

const ID = uuidOf(0x99);
const PASSWORD = 'very-secret';

const NAMES: AlarmNames = {
  customer: () => 'Example Ltd',
  machine: () => 'web-1',
  sensor: () => 'disk',
};

const notice = (kind: NoticeRecord['notice'], change: Partial<AlarmRecord> = {}): NoticeRecord => ({
  ...{ v: 1, id: uuidOf(8), channelId: uuidOf(3), notice: kind, dueMs: 1 },
  alarm: {
    ...{ v: 1, id: uuidOf(7), customerId: uuidOf(1), machineId: uuidOf(2), sensor: 4, cause: 'sensor' },
    ...{ severity: 'warning', message: 'usage 99 %', raisedAtMs: 0, changedAtMs: 60_000, comments: [] },
    ...change,
  },
});

describe('notify: e-mails', () => {
  describe('text', () => {
    const of = (...notices: NoticeRecord[]) => emailText({ id: ID, notices }, 'night shift', NAMES);

    it('says in its subject what is worst, and how much more there is', () => {
      expect(of(notice('raised')).subject).to.equal('WARNING: disk on web-1 (Example Ltd)');
      const many = of(
        notice('closed', { severity: 'critical' }),
        notice('raised'),
        notice('raised', { severity: 'critical' }),
      );
      expect(many.subject).to.equal('CRITICAL: disk on web-1 (Example Ltd) and 2 more');
      expect(of(notice('closed')).subject).to.equal('CLOSED: disk on web-1 (Example Ltd)');
      const { sensor: _, ...machine } = notice('raised', { cause: 'lost', severity: 'critical' }).alarm;
      const lost = { ...notice('raised'), alarm: machine };
      expect(of(lost).subject).to.equal('CRITICAL: web-1 (Example Ltd)');
    });

    it('has a paragraph for each', () => {
      const closed = notice('closed', { closedAtMs: 120_000, cause: 'stale', severity: 'unknown' });
      expect(of(notice('changed'), closed).text).to.equal(
        [
          'WARNING: disk on web-1 (Example Ltd)',
          '  usage 99 %',
          `  measured, raised 1970-01-01T00:00:00Z, changed 1970-01-01T00:01:00Z, alarm ${uuidOf(7)}`,
          '',
          'CLOSED: disk on web-1 (Example Ltd)',
          '  usage 99 %',
          `  no readings come, raised 1970-01-01T00:00:00Z, closed 1970-01-01T00:02:00Z, alarm ${uuidOf(7)}`,
          '',
          '-- ',
          `occmesh, channel night shift, message ${ID}`,
          '',
        ].join('\n'),
      );
      expect(of().subject).to.equal('Test of channel night shift');
    });

    it('is bounded and one line each, whatever names and messages are', () => {
      const evil = 'x\r\nBcc: victim@example.net\r\n\r\n<html>\u202e\u0000';
      const names = { customer: () => evil, machine: () => evil.repeat(50), sensor: () => evil };
      const { subject, text } = emailText(
        { id: ID, notices: [notice('raised', { message: evil.repeat(99) })] },
        evil,
        names,
      );
      expect(subject).to.not.match(/[\p{Cc}\u202e]/u);
      expect(subject.length).to.be.lessThan(250);
      expect(text.split('\n').filter((line) => line.startsWith('Bcc'))).to.deep.equal([]);
      expect(text.length).to.be.lessThan(1_500);
    });
  });

  describe('addresses', () => {
    const bad = [
      ...[
        '',
        'a',
        'a@',
        '@b.example',
        'a@b',
        'a b@c.example',
        'a@b.example\r\nBcc: x@y.example',
        'a@b.example,c@d.example',
      ],
      ...[
        '"a"@b.example',
        '<a@b.example>',
        'A <a@b.example>',
        'a@b.example>',
        'a@[127.0.0.1]',
        'a@-b.example',
        'ä@b.example',
      ],
      ...['a@b..example', 'a@b.example\u0000', `${'a'.repeat(65)}@b.example`, `a@${'b.'.repeat(130)}example`],
    ];
    for (const address of bad) {
      it(`${JSON.stringify(address.slice(0, 30))} is none`, () => expect(isEmailAddress(address)).to.equal(false));
    }
    for (const address of ['a@b.example', "o'brien+x.y@mail-1.b.example"]) {
      it(`${address} is one`, () => expect(isEmailAddress(address)).to.equal(true));
    }
  });

  describe('sending', () => {
    let scope: Scope;
    let mails: { from: string; to: string[]; raw: string; user: unknown; secure: boolean }[];
    beforeEach(() => {
      scope = new Scope();
      mails = [];
    });
    afterEach(() => scope.stop());

    /** A mail server; its port. */
    const start = async (options: SMTPServerOptions = {}): Promise<number> => {
      const server = new SMTPServer({
        disabledCommands: ['AUTH', 'STARTTLS'],
        logger: false,
        onData(stream, { envelope, user, secure }, done) {
          const chunks: Buffer[] = [];
          stream.on('data', (chunk: Buffer) => chunks.push(chunk));
          stream.on('end', () => {
            const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address;
            const to = envelope.rcptTo.map(({ address }) => address);
            mails.push({ from, to, raw: Buffer.concat(chunks).toString(), user, secure });
            done();
          });
        },
        ...options,
      });
      server.on('error', () => undefined);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      scope.defer(() => new Promise<void>((resolve) => server.close(() => resolve())));
      return (server.server.address() as AddressInfo).port;
    };

    const settings = (port: number, change: Partial<SmtpSettings> = {}): SmtpSettings => ({
      ...{ host: '127.0.0.1', port, tls: 'none', from: 'alarms@provider.example' },
      ...change,
    });

    const EMAIL: Email = {
      ...{ id: ID, writtenAtMs: Date.UTC(2026, 0, 1, 12), to: ['a@one.example', 'b@two.example'] },
      ...{ subject: 'CRITICAL: disk on wöb-1', text: 'first\n.\nlast\n' },
    };

    const send = (to: SmtpSettings, email = EMAIL, signal = new AbortController().signal) =>
      sendEmail(email, to, { clock: systemClock }, signal).then(
        (complaint) => complaint ?? 'sent',
        (error: Error) => `not sent: ${error.message}`,
      );

    it('puts id, date, sender and recipients where they belong, the same in every repetition', async () => {
      const to = settings(await start());
      expect(await send(to)).to.equal('sent');
      expect(await send(to)).to.equal('sent');
      const [mail, again] = mails;
      expect(mail).to.deep.include({ from: 'alarms@provider.example', to: EMAIL.to });
      const { head, body } = parsed(mail?.raw);
      expect(head['message-id']).to.deep.equal([`<${ID}@occ-mesh>`]);
      expect(head.date).to.deep.equal(['Thu, 01 Jan 2026 12:00:00 +0000']);
      expect(head.from).to.deep.equal(['"occ-mesh" <alarms@provider.example>']);
      expect(head.to).to.deep.equal(['a@one.example, b@two.example']);
      expect(head['auto-submitted']).to.deep.equal(['auto-generated']);
      expect(head.subject).to.deep.equal(['=?UTF-8?Q?CRITICAL=3A_disk_on_w=C3=B6b-1?=']);
      expect(head['content-type']?.[0]).to.match(/^text\/plain; charset=utf-8$/);
      expect(body.trim()).to.equal('first\r\n.\r\nlast');
      expect(again?.raw).to.equal(mail?.raw);
    });

    it('makes one header of a hostile subject, and one message of a hostile text', async () => {
      const evil = 'hi\r\nBcc: victim@example.net\r\nContent-Type: text/html\r\n\r\n<b>';
      const text = `a\r\n.\r\nMAIL FROM:<x@y.example>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nhi\r\n.\r\n`;
      expect(await send(settings(await start()), { ...EMAIL, subject: evil, text })).to.equal('sent');
      expect(mails).to.have.length(1);
      const { head } = parsed(mails[0]?.raw);
      expect(mails[0]?.to).to.deep.equal(EMAIL.to);
      expect(head.bcc).to.equal(undefined);
      expect(head['content-type']).to.have.length(1);
      expect(head['content-type']?.[0]).to.match(/^text\/plain/);
      expect(head.subject).to.have.length(1);
    });

    it('sends no text for a file or an address, whatever it looks like', async () => {
      const text = 'file:///etc/hostname';
      expect(await send(settings(await start()), { ...EMAIL, text })).to.equal('sent');
      expect(parsed(mails[0]?.raw).body.trim()).to.equal(text);
    });

    it('tells who it was refused for, and fails when that is everybody', async () => {
      const refuse = (who: RegExp) =>
        start({
          onRcptTo({ address }, _, done) {
            done(who.test(address) ? Object.assign(new Error('no such user'), { responseCode: 550 }) : null);
          },
        });
      expect(await send(settings(await refuse(/^b@/)))).to.equal('the mail server refused it for b@two.example');
      expect(mails.map(({ to }) => to)).to.deep.equal([['a@one.example']]);
      expect(await send(settings(await refuse(/@/)))).to.match(/^not sent: .*no such user/);
      expect(mails).to.have.length(1);
    });

    describe('over TLS', () => {
      const login = { user: 'occ', password: PASSWORD };
      const onAuth: SMTPServerOptions['onAuth'] = ({ username, password }, _, done) => {
        if (username === 'occ' && password === PASSWORD) done(null, { user: username });
        else done(new Error('wrong password'));
      };
      const secure = async (options: SMTPServerOptions = {}) => {
        const authority = await testAuthority();
        const { key, cert } = await authority.issue('mail');
        const port = await start({ key, cert, disabledCommands: [], onAuth, authOptional: false, ...options });
        return { ca: authority.ca, port };
      };

      it('logs in after STARTTLS, or with TLS from the beginning', async () => {
        const { port, ca } = await secure();
        expect(await send(settings(port, { tls: 'required', login, ca }))).to.equal('sent');
        const implicit = await secure({ secure: true });
        expect(await send(settings(implicit.port, { tls: 'implicit', login, ca: implicit.ca }))).to.equal('sent');
        expect(mails.map(({ user, secure }) => [user, secure])).to.deep.equal([
          ['occ', true],
          ['occ', true],
        ]);
      });

      it('says that the password is wrong, and not which', async () => {
        const { port, ca } = await secure();
        const told = await send(settings(port, { tls: 'required', ca, login: { user: 'occ', password: 'guess-me' } }));
        expect(told)
          .to.match(/^not sent: Invalid login/)
          .and.to.not.contain('guess-me');
      });

      it('sends nothing, the password least of all, to whoever has no TLS or is somebody else', async () => {
        let asked = 0;
        const plain = await start({
          ...{ disabledCommands: ['STARTTLS'], allowInsecureAuth: true },
          onAuth(auth, session, done) {
            asked++;
            onAuth?.call(undefined as never, auth, session, done);
          },
        });
        expect(await send(settings(plain, { tls: 'required', login }))).to.match(/^not sent/);
        const { port } = await secure();
        const { ca } = await testAuthority('other');
        expect(await send(settings(port, { tls: 'required', login, ca }))).to.match(
          /^not sent: .*(certificate|issuer)/,
        );
        const implicit = await secure({ secure: true });
        expect(await send(settings(implicit.port, { tls: 'implicit', login, ca }))).to.match(/^not sent/);
        expect({ asked, mails: mails.length }).to.deep.equal({ asked: 0, mails: 0 });
      });

      it('takes any certificate, or none, where that was said to be enough', async () => {
        const { port } = await secure({ authOptional: true });
        expect(await send(settings(port, { tls: 'opportunistic' }))).to.equal('sent');
        expect(await send(settings(await start(), { tls: 'opportunistic' }))).to.equal('sent');
        expect(mails.map(({ secure }) => secure)).to.deep.equal([true, false]);
      });
    });

    describe('to a mail server that is no help', () => {
      const tcp = async (talk: (socket: Socket) => void) => {
        const sockets = new Set<Socket>();
        const server = createServer((socket) => {
          sockets.add(socket.on('error', () => undefined));
          talk(socket);
        });
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        scope.defer(async () => {
          for (const socket of sockets) socket.destroy();
          await new Promise((resolve) => server.close(resolve));
        });
        return (server.address() as AddressInfo).port;
      };

      it('ends after its time, whatever is dripped', async () => {
        const within = milliseconds(150);
        const port = await tcp((socket) => {
          const drip = setInterval(() => socket.write('220-wait\r\n'), 10);
          socket.on('close', () => clearInterval(drip));
        });
        expect(await send(settings(port, { within }))).to.contain('not sent: the mail server did not take it within');
        const silent = await tcp(() => undefined);
        expect(await send(settings(silent, { within }))).to.contain('did not take it within');
      });

      it('ends at once when it is stopped', async () => {
        const abort = new AbortController();
        const port = await tcp(() => abort.abort(new Error('stopped')));
        expect(await send(settings(port), EMAIL, abort.signal)).to.equal('not sent: stopped');
        expect(await send(settings(port), EMAIL, abort.signal)).to.equal('not sent: stopped');
      });

      it('says that nobody is there, or that it is no mail server', async () => {
        expect(await send(settings(1))).to.contain('ECONNREFUSED');
        const other = await tcp((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
        expect(await send(settings(other))).to.match(/^not sent: /);
      });
    });
  });
});

/** Headers by lower-case name, each as often as it is there, and the body. */
function parsed(raw = ''): { head: { [name: string]: string[] | undefined }; body: string } {
  const end = raw.indexOf('\r\n\r\n');
  const head: { [name: string]: string[] | undefined } = {};
  for (const line of raw
    .slice(0, end)
    .replaceAll(/\r\n[ \t]+/g, ' ')
    .split('\r\n')) {
    const [, name = '', value = ''] = /^([^:]+): ?(.*)$/.exec(line) ?? [];
    head[name.toLowerCase()] = [...(head[name.toLowerCase()] ?? []), value];
  }
  return { head, body: raw.slice(end + 4) };
}
