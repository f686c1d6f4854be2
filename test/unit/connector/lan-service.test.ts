// What a connector relays for strangers: one of them cannot keep the others out.
import { expect } from 'chai';
import type { Sealed } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { relayedEnrollment } from '../../../src/connector/lan-service.js';
import { ContractFault } from '../../../src/contract/fault.js';
import { seconds } from '../../../src/kernel/duration.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('connector: relayed enrolment', () => {
  const SEALED: Sealed = { encapsulatedKey: new Uint8Array(32), ciphertext: new Uint8Array(1) };
  const setUp = () => {
    const clock = new FakeClock();
    const relayed: string[] = [];
    const service = relayedEnrollment(
      async (method) => {
        relayed.push(method);
        return { ciphertext: new Uint8Array(0) };
      },
      { clock },
    );
    let port = 1_024;
    /** Undefined when it was relayed; else the code. */
    const ask = async (address: string, method: 'enrol' | 'renew' = 'enrol'): Promise<string | undefined> => {
      const call = { peer: `${address}:${port++}`, signal: new AbortController().signal };
      try {
        await service[method](SEALED, call);
        return undefined;
      } catch (thrown) {
        if (!(thrown instanceof ContractFault)) throw thrown;
        expect(thrown.retryAfter).to.be.greaterThan(0);
        return thrown.code;
      }
    };
    return { clock, relayed, ask };
  };

  it('takes from one address a few, however many connections it makes, and goes on for the others', async () => {
    const { relayed, ask } = setUp();
    const answers: (string | undefined)[] = [];
    for (let i = 0; i < 1_000; i++) answers.push(await ask('192.0.2.66', i % 2 === 0 ? 'enrol' : 'renew'));
    expect(relayed).to.have.length(10);
    expect(new Set(answers.slice(10))).to.deep.equal(new Set(['contract.exhausted']));
    expect(await ask('192.0.2.7')).to.equal(undefined);
    expect(await ask('192.0.2.8', 'renew')).to.equal(undefined);
  });

  it('relays in a minute less than the cloud takes from one source, whoever asks', async () => {
    const { clock, relayed, ask } = setUp();
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 50; i++) await ask(`192.0.2.${(second * 50 + i) % 250}`);
      await clock.advance(seconds(1));
    }
    expect(relayed.length)
      .to.be.lessThan(50 + 60 * 10)
      .and.greaterThan(400);
  });
});
