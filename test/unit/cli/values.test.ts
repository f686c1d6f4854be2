// Durations, moments, addresses, settings and thresholds as people type them.
import { expect } from 'chai';
import * as values from '../../../src/cli/values.js';
import { epochMs, minutes } from '../../../src/kernel/duration.js';

const NOW = epochMs(Date.UTC(2026, 0, 1, 12));

describe('what people type', () => {
  it('reads durations', () => {
    expect(values.duration('90s', '')).to.equal(90_000);
    expect(values.duration('250ms', '')).to.equal(250);
    for (const bad of ['90', '5 minutes', '-1h', '']) {
      expect(() => values.duration(bad, ''), bad).to.throw(values.BadValue, 'write it like 500ms, 30s');
    }
  });

  it('reads moments, absolute and relative', () => {
    expect(values.moment('now', NOW)).to.equal(NOW);
    expect(values.moment('-1h', NOW)).to.equal(NOW - 3_600_000);
    expect(values.moment('+30s', NOW)).to.equal(NOW + 30_000);
    expect(values.moment('2026-01-31T14:00:00Z', NOW)).to.equal(Date.UTC(2026, 0, 31, 14));
    expect(values.moment('2026-01-31T14:00:00.250+02:00', NOW)).to.equal(Date.UTC(2026, 0, 31, 12, 0, 0, 250));
    expect(values.moment('2026-01-31', NOW)).to.equal(Date.UTC(2026, 0, 31));
    for (const bad of ['yesterday', '1h', '2026', '31.1.2026', '-1', '2026-13-01', '2026-01-31T25:00Z']) {
      expect(() => values.moment(bad, NOW), bad).to.throw(values.BadValue, 'write it like 2026-01-31T14:00:00Z');
    }
  });

  it('reads commands and what they are called', () => {
    expect(values.namedCommand('disk=df -h / | grep =', '')).to.deep.equal(['disk', 'df -h / | grep =']);
    for (const bad of ['disk', 'disk=', 'disk= ', '=df', 'a b=df', '-x=df', '__proto__=df']) {
      expect(() => values.namedCommand(bad, ''), bad).to.throw(values.BadValue, 'write it like disk=df -h /');
    }
  });

  it('reads where to listen, port 0 included', () => {
    expect(values.listening('0.0.0.0:11000', '')).to.deep.equal({ host: '0.0.0.0', port: 11_000 });
    expect(values.listening('[::]:443', '')).to.deep.equal({ host: '::', port: 443 });
    expect(values.listening('127.0.0.1:0', '')).to.deep.equal({ host: '127.0.0.1', port: 0 });
    for (const bad of ['443', '::1:443', 'host:70000', 'host:', ':443']) {
      expect(() => values.listening(bad, ''), bad).to.throw(values.BadValue, 'write it like');
    }
  });

  it('reads a port alone as one that only this machine reaches', () => {
    expect(values.listeningHere('9464', '')).to.deep.equal({ host: '127.0.0.1', port: 9464 });
    expect(values.listeningHere('0.0.0.0:9464', '')).to.deep.equal({ host: '0.0.0.0', port: 9464 });
    for (const bad of ['70000', '-1', '9464x', ':9464', '']) {
      expect(() => values.listeningHere(bad, ''), bad).to.throw(values.BadValue);
    }
  });

  it('reads addresses of others into their normal form', () => {
    expect(values.address('Connector.Example:11000', '')).to.equal('connector.example:11000');
    expect(values.address('[2001:DB8::10]:11000', '')).to.equal('[2001:db8::10]:11000');
    expect(() => values.address('connector.example', '')).to.throw(values.BadValue, 'the port is missing');
  });

  it('reads sizes, numbers, words and paths', () => {
    expect(values.size('64MiB', '')).to.equal(67_108_864);
    expect(() => values.size('64MB', '')).to.throw(values.BadValue, 'write it like 512KiB');
    expect(values.wholeNumber(1, 10)('7', '')).to.equal(7);
    for (const bad of ['0', '11', '1.5', '-1', 'x', '']) {
      expect(() => values.wholeNumber(1, 10)(bad, ''), bad).to.throw(values.BadValue, 'from 1 to 10');
    }
    expect(() => values.oneOf('hub', 'connector')('cloud', '')).to.throw('it must be one of hub, connector');
    expect(values.path('x/y', '/base')).to.equal('/base/x/y');
    expect(values.path('/x', '/base')).to.equal('/x');
    expect(values.pathOrStdin('-', '/base')).to.equal('-');
  });

  it('begins spans by the clock where the range was said as a distance from now', () => {
    const now = epochMs(Date.UTC(2026, 0, 31, 14, 47, 12, 345));
    const hour = minutes(60);
    const spans = (text: string, span = hour) => new Date(values.spansFrom(values.beginning(text, now), span));
    expect(spans('-1h').toISOString()).to.equal('2026-01-31T13:00:00.000Z');
    expect(spans('-1d', minutes(5)).toISOString()).to.equal('2026-01-30T14:45:00.000Z');
    expect(spans('now').toISOString()).to.equal('2026-01-31T14:00:00.000Z');
    // A day of Berlin stays one.
    expect(spans('2026-01-31T00:00+01:00', minutes(1_440)).toISOString()).to.equal('2026-01-30T23:00:00.000Z');
    expect(spans('2026-01-31T08:30:00Z').toISOString()).to.equal('2026-01-31T08:30:00.000Z');
  });

  it('reads settings: JSON where it is JSON, text otherwise', () => {
    expect(values.setting('port=443')).to.deep.equal(['port', 443]);
    expect(values.setting('mounts=["/","/var"]')).to.deep.equal(['mounts', ['/', '/var']]);
    expect(values.setting('host=server.example')).to.deep.equal(['host', 'server.example']);
    expect(values.setting('url=https://x.example/?a=b')).to.deep.equal(['url', 'https://x.example/?a=b']);
    expect(values.setting('text="443"')).to.deep.equal(['text', '443']);
    expect(values.setting('send=')).to.deep.equal(['send', '']);
    expect(() => values.setting('port')).to.throw(values.BadValue, 'key=value');
    expect(() => values.setting('=1')).to.throw(values.BadValue);
  });

  it('reads limits and says what is wrong with a range', () => {
    expect(values.limit('usage=90')).to.deep.equal(['usage', '90']);
    expect(values.limit('a=b=10:')).to.deep.equal(['a=b', '10:']);
    expect(values.limit('usage=')).to.deep.equal(['usage', '']);
    expect(() => values.limit('usage=high')).to.throw(values.BadValue, '"high" is not a number');
    expect(() => values.limit('usage')).to.throw(values.BadValue, 'metric=range');
  });

  it('puts limits into thresholds, keeps the others, and drops what has none left', () => {
    const before = [
      { metric: 'usage', warning: '90', critical: '98' },
      { metric: 'load1', warning: '4', critical: '' },
    ];
    expect(
      values.withLimits(
        before,
        [
          ['usage', '80'],
          ['load1', ''],
        ],
        [['swap', '50']],
      ),
    ).to.deep.equal([
      { metric: 'usage', warning: '80', critical: '98' },
      { metric: 'swap', warning: '', critical: '50' },
    ]);
    expect(before[0]?.warning).to.equal('90');
  });
});
