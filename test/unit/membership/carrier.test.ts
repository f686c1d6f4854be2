// Where nobody answers: one sentence for each who was asked, and nothing twice.
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect } from 'chai';
import pino from 'pino';
import { systemClock } from '../../../src/kernel/clock.js';
import { describe as describeError } from '../../../src/kernel/fault.js';
import { type CarrierAddress, carrierCall } from '../../../src/membership/carrier.js';
import { CUSTOMER, newAuthority } from '../identity/fixtures.js';

describe('membership: carriers of requests', () => {
  it('say once why each of them was none', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const address = `127.0.0.1:${(closed.address() as AddressInfo).port}`;
    closed.close();
    await once(closed, 'close');
    async function* addresses(): AsyncGenerator<CarrierAddress> {
      yield { address, role: 'connector' };
      yield { address: 'nowhere.invalid:443', role: 'cloud' };
    }
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const { bundle: trust } = await newAuthority();
    const call = carrierCall({ trust, customerId: CUSTOMER, addresses }, { clock: systemClock, log });
    const sealed = { encapsulatedKey: Buffer.alloc(32), ciphertext: Buffer.alloc(1) };
    const openAnswer = async () => Buffer.alloc(0);
    const text = describeError(await call('Enrol', { sealed, openAnswer }).catch((thrown) => thrown));
    expect(text.match(/ECONNREFUSED/g)).to.have.length(1);
    expect(text.match(/nowhere\.invalid.*?:443: /g), text).to.have.length(1);
    expect(text).to.match(/^connector: .*; cloud: /);
    expect(lines, 'whoever asked is told').to.deep.equal([]);
  });
});
