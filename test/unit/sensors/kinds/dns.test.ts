// Kind `dns` without a name server worth the name: silence, nonsense, and settings.
import { createSocket, type Socket } from 'node:dgram';
import { expect } from 'chai';
import { State } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { SensorFault } from '../../../../src/sensors/fault.js';
import { dns } from '../../../../src/sensors/kinds/dns.js';
import { measure } from '../support.js';

const server = '127.0.0.1';

async function udpServer(onQuestion: (question: Buffer, answer: (message: Buffer) => void) => void) {
  const socket: Socket = createSocket('udp4');
  socket.on('message', (question, { port }) => onQuestion(question, (message) => socket.send(message, port, server)));
  await new Promise<void>((resolve) => socket.bind(0, server, resolve));
  return {
    port: socket.address().port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => socket.close(() => resolve())),
  };
}

/** The question with another code of response (RFC 1035 section 4.1.1). */
function refusal(question: Buffer, code: number): Buffer {
  const answer = Buffer.from(question);
  answer[2] = (answer[2] ?? 0) | 0x80;
  answer[3] = code;
  return answer;
}

describe('sensors/kinds: dns', () => {
  it('silence is a verdict, being removed is not', async () => {
    for (const reason of [new SensorFault('sensor.timeout', 'timed out after 10s'), new Error('removed')]) {
      const control = new AbortController();
      await using silent = await udpServer(() => control.abort(reason));
      const asking = measure(dns, { name: 'a.example', server, port: silent.port }, control.signal);
      const outcome = await asking.catch((thrown) => thrown);
      if (reason instanceof SensorFault) expect(outcome.message).to.equal('no answer: timed out after 10s');
      else expect(outcome).to.equal(reason);
    }
  });

  for (const [code, message] of [
    [1, 'the name server does not understand the question'],
    [2, 'the name server failed'],
    [3, 'there is no such name'],
    [5, 'the name server refuses to answer'],
  ] as const) {
    it(`response code ${code} is critical, in words`, async () => {
      await using rude = await udpServer((question, answer) => answer(refusal(question, code)));
      const measured = await measure(dns, { name: 'a.example', server, port: rude.port });
      expect(measured).to.deep.equal({ values: [], state: State.CRITICAL, message });
    });
  }

  it('takes names and addresses only', () => {
    for (const settings of [
      { name: 'a b' },
      { name: '' },
      { name: 'a/b' },
      { name: 'a.example', server: 'ns.example' },
      { name: 'a.example', server: '1.2.3.4:53' },
      { name: 'a.example', type: 'ANY' },
      { name: 'a.example', expect: [] },
    ]) {
      expect(dns.settings.safeParse(settings).success, JSON.stringify(settings)).to.equal(false);
    }
    expect(dns.settings.safeParse({ name: '_sip._tcp.a.example', server: '2001:db8::1' }).success).to.equal(true);
  });
});
