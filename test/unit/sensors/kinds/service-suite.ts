// What every kind that logs in to a service over TCP must do, whoever is at the other end.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../../src/sensors/fault.js';
import type { SensorKind } from '../../../../src/sensors/kind.js';
import { measure, secretsOf } from '../support.js';
import { closedPort, tcpServer } from './servers.js';

export const PASSWORD = 'hunter2-ä"\'\\';

export interface ServiceSuite<S> {
  readonly kind: SensorKind<S>;
  /** All but host and port; each of these ways of connecting is looked at. */
  readonly ways: readonly object[];
  readonly secrets?: Readonly<Record<string, string>>;
  /** What a server must say first before the client goes on listening for more. */
  readonly greeting?: string | Buffer;
  /** Changes of settings that change who learns the password. */
  readonly changes: readonly object[];
}

export function serviceSuite<S>(suite: ServiceSuite<S>): void {
  const { kind, ways, greeting = '' } = suite;
  const host = '127.0.0.1';
  const secrets = secretsOf(suite.secrets ?? { password: PASSWORD });
  const run = (settings: object, signal = new AbortController().signal) => measure(kind, settings, signal, secrets);

  describe('whoever is at the other end', () => {
    for (const way of ways) {
      const name = JSON.stringify(way).slice(0, 120);

      it(`nobody: critical (${name})`, async () => {
        const refused = await run({ host, port: await closedPort(), ...way });
        expect(refused).to.deep.include({ state: State.CRITICAL, message: 'connection refused' });
      });

      it(`silence is a verdict, being removed is not (${name})`, async () => {
        for (const reason of [new SensorFault('sensor.timeout', 'timed out after 10s'), new Error('removed')]) {
          const control = new AbortController();
          await using silent = await tcpServer(() => setImmediate(() => control.abort(reason)));
          const outcome = await run({ host, port: silent.port, ...way }, control.signal).catch((thrown) => thrown);
          if (reason instanceof SensorFault) expect(outcome.message).to.equal('no answer: timed out after 10s');
          else expect(outcome).to.equal(reason);
        }
      });

      it(`one that hangs up, or talks nonsense: critical, in bounded time and memory (${name})`, async () => {
        await using rude = await tcpServer((socket) => socket.end());
        expect(await run({ host, port: rude.port, ...way })).to.have.property('state', State.CRITICAL);
        await using odd = await tcpServer((socket) => socket.end('\x00\xff nonsense \r\n\r\n'));
        expect(await run({ host, port: odd.port, ...way })).to.have.property('state', State.CRITICAL);
      });

      it(`one that never stops talking is cut off (${name})`, async () => {
        let closed = () => undefined as unknown;
        const over = new Promise((resolve) => (closed = () => resolve(undefined)));
        let sent = 0;
        await using endless = await tcpServer((socket) => {
          const write = () => {
            for (let more = true; more && !socket.destroyed; sent += 65_536)
              more = socket.write(Buffer.alloc(65_536, 'x'));
          };
          socket.on('drain', write).on('close', closed);
          socket.write(greeting);
          write();
        });
        const control = new AbortController();
        const measured = run({ host, port: endless.port, ...way }, control.signal);
        await over;
        expect((await measured).state).to.equal(State.CRITICAL);
        // And what the system's own buffers hold.
        expect(sent).to.be.below(32_000_000);
      });
    }
  });

  it('its secret is void for whoever else could learn it', () => {
    const of = (changes: object) => {
      const settings = kind.settings.parse({ host: 'a.example', ...ways[0], ...changes });
      return JSON.stringify(kind.secrets?.target(settings));
    };
    const own = of({});
    for (const change of [{ host: 'b.example' }, { port: 4_711 }, ...suite.changes]) {
      expect(of(change), JSON.stringify(change)).to.not.equal(own);
    }
  });
}
