// Kind `ping`: the dialects of the systems' programs, and runs of stand-ins for them.
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { parsePing, pingArguments, pingWith } from '../../../../src/sensors/kinds/ping.js';
import { metricOf, sensorOf } from '../support.js';
import { Plugins } from './plugins.js';

describe('sensors/kinds: ping', () => {
  const settings = { host: 'db.example', count: 3, family: 'any' } as const;
  const outputs: [name: string, output: string, expected: ReturnType<typeof parsePing>][] = [
    [
      'Linux',
      '3 packets transmitted, 3 received, 0% packet loss, time 2003ms\nrtt min/avg/max/mdev = 0.040/0.051/0.066/0.011 ms\n',
      { loss: 0, rtt: [0.04, 0.051, 0.066] },
    ],
    [
      'Linux, no answer',
      '3 packets transmitted, 0 received, +3 errors, 100% packet loss, time 5ms\n',
      { loss: 100, rtt: undefined },
    ],
    [
      'busybox',
      '3 packets transmitted, 2 packets received, 33% packet loss\nround-trip min/avg/max = 0.1/0.2/0.3 ms\n',
      { loss: 33, rtt: [0.1, 0.2, 0.3] },
    ],
    [
      'macOS',
      '3 packets transmitted, 3 packets received, 0.0% packet loss\nround-trip min/avg/max/stddev = 13.1/14.2/15.3/0.8 ms\n',
      { loss: 0, rtt: [13.1, 14.2, 15.3] },
    ],
    [
      'Windows',
      '    Packets: Sent = 3, Received = 3, Lost = 0 (0% loss),\r\nApproximate round trip times in milli-seconds:\r\n    Minimum = 10ms, Maximum = 30ms, Average = 20ms\r\n',
      { loss: 0, rtt: [10, 20, 30] },
    ],
    [
      'Windows, German',
      '    Pakete: Gesendet = 3, Empfangen = 2, Verloren = 1\r\n    (33% Verlust),\r\nCa. Zeitangaben in Millisek.:\r\n    Minimum = 1ms, Maximum = 3ms, Mittelwert = 2ms\r\n',
      { loss: 33, rtt: [1, 2, 3] },
    ],
    [
      'Windows, no answer',
      '    Packets: Sent = 3, Received = 0, Lost = 3 (100% loss),\r\n',
      { loss: 100, rtt: undefined },
    ],
    ['nonsense', 'usage: ping [-x] host\n', undefined],
  ];
  for (const [name, output, expected] of outputs) {
    it(`reads the summary of ${name}`, () => expect(parsePing(output)).to.deep.equal(expected));
  }

  it('the host is the last argument, behind the end of options', () => {
    expect(pingArguments(settings, 'linux')).to.deep.equal(['-n', '-q', '-c', '3', '-W', '2', '--', 'db.example']);
    expect(pingArguments(settings, 'darwin').slice(-2)).to.deep.equal(['--', 'db.example']);
    expect(pingArguments({ ...settings, family: 'ipv6' }, 'win32')).to.deep.equal([
      '-n',
      '3',
      '-w',
      '2000',
      '-6',
      'db.example',
    ]);
    expect(pingWith([]).settings.safeParse({ host: '-f' }).success).to.equal(false);
  });

  it('without the program it is unsupported', async () => {
    const fault = await sensorOf(pingWith(['/no/ping']), settings)
      .measure(new AbortController().signal)
      .catch((thrown) => thrown);
    expect(fault.message).to.equal('unsupported here: there is no ping program');
  });

  it('runs the program it finds', async function () {
    if (process.platform === 'win32') this.skip();
    await using plugins = await Plugins.make();
    const answer = 'echo "$#: 3 received, 0% packet loss"; echo "rtt min/avg/max/mdev = 1/2/3/0 ms"';
    const good = await sensorOf(pingWith([await plugins.script('good', answer)]), settings).measure(
      new AbortController().signal,
    );
    expect(metricOf(good, 'rtt')).to.equal(2);
    expect(good.state).to.equal(undefined);
    const lost = await plugins.script('lost', 'echo "0 received, 100% packet loss"; exit 1');
    const none = await sensorOf(pingWith([lost]), settings).measure(new AbortController().signal);
    expect(none).to.include({ state: State.CRITICAL, message: 'no answer' });
    const wrong = await plugins.script('wrong', 'echo "ping: db.example: Name or service not known" >&2; exit 2');
    const fault = await sensorOf(pingWith([wrong]), settings)
      .measure(new AbortController().signal)
      .catch((thrown) => thrown);
    expect(fault.message).to.match(/Name or service not known/);
  });
});
