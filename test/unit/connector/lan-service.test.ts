// What a connector relays for strangers: one of them cannot keep the others out.
import { expect } from 'chai';
import type { Sealed } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { Lane } from '../../../gen/occmesh/link/v1/link.js';
import { carriedLinks, relayedEnrollment } from '../../../src/connector/lan-service.js';
import type { HubChannel } from '../../../src/connector/trunk-link.js';
import type { ByteStream } from '../../../src/contract/byte-stream.js';
import { ContractFault } from '../../../src/contract/fault.js';
import type { CallContext } from '../../../src/contract/handlers.js';
import { seconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { bareEnvelope } from '../../../src/link/envelope.js';
import { FakeClock } from '../../support/fake-clock.js';
import { looksInside } from '../../support/looks-inside.js';

const principal = {
  ...{ kind: 'machine', role: 'hub', machineId: 'a hub', customerId: '' },
  certificate: Buffer.alloc(1),
};

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

describe('connector: sessions of hubs', () => {
  it('are opened by one hub as often as it can need, and by the others all the same', async () => {
    const clock = new FakeClock();
    let opened = 0;
    const open = (): HubChannel => {
      opened += 1;
      return { queuedBytes: 0, send: () => {}, close: () => {} };
    };
    const { link } = carriedLinks({ open, queuedBytes: 0 }, { clock, log: silentLogger });
    const stream = { forEach: async () => {} } as unknown as ByteStream;
    const knock = async (machineId: string): Promise<unknown> => {
      const principal = { kind: 'machine', role: 'hub', machineId, customerId: '', certificate: Buffer.alloc(1) };
      return link(stream, { peer: 'there', principal } as unknown as CallContext).catch((thrown) => thrown);
    };
    let refused: unknown;
    for (let i = 0; i < 20_000; i++) refused = (await knock('a hub gone wild')) ?? refused;
    expect(opened).to.equal(30);
    expect(refused).to.include({ code: 'contract.exhausted', reason: 'EXHAUSTED' });
    for (let hub = 0; hub < 10_000; hub++) expect(await knock(`hub ${hub}`)).to.equal(undefined);
    await clock.advance(seconds(1));
    expect(await knock('a hub gone wild')).to.equal(undefined);
  });

  it('are told to ask again soon while there is no way to the cloud', async () => {
    const { link } = carriedLinks(
      { open: () => undefined, queuedBytes: 0 },
      { clock: new FakeClock(), log: silentLogger },
    );
    const told = await link({} as ByteStream, { peer: 'there', principal } as unknown as CallContext).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(told).to.include({ reason: 'NO_CLOUD', retryAfter: 5_000 });
  });

  it('are passed on as they come, both ways, and nobody looks inside', async () => {
    const [up, down]: [Uint8Array[], Uint8Array[]] = [[], []];
    let toHub: (bytes: Uint8Array) => void = () => undefined;
    const open = (_: unknown, handlers: { envelope(bytes: Uint8Array): void }) => {
      toHub = handlers.envelope;
      return { queuedBytes: 0, send: (bytes: Uint8Array) => void up.push(bytes), close: () => {} };
    };
    const { link } = carriedLinks({ open, queuedBytes: 0 }, { clock: new FakeClock(), log: silentLogger });
    // An envelope, and what is none.
    const said = [bareEnvelope(Lane.LIVE, Buffer.from([1])), Uint8Array.of(0x08, 0x02, 0xff)].map(Buffer.from);
    const stream = {
      bufferedBytes: 0,
      write: (bytes: Uint8Array) => down.push(bytes),
      forEach: async (take: (bytes: Buffer) => void) => {
        for (const bytes of said) take(bytes);
        for (const bytes of said) toHub(bytes);
      },
    } as unknown as ByteStream;
    const looks = await looksInside(() => link(stream, { peer: '', principal } as unknown as CallContext));
    expect(looks).to.equal(0);
    expect([up, down]).to.deep.equal([said, said]);
  });

  it('may wait for the cloud with much, but not all of them at once', async () => {
    const trunk = { queuedBytes: 0 };
    const open = () => ({
      queuedBytes: 0,
      send(envelope: Uint8Array) {
        this.queuedBytes += envelope.length;
        trunk.queuedBytes += envelope.length;
      },
      close: () => {},
    });
    const { link } = carriedLinks(Object.assign(trunk, { open }), { clock: new FakeClock(), log: silentLogger });
    /** How much of an endless stream is taken. */
    const pour = async (machineId: string): Promise<number> => {
      let taken = 0;
      const forEach = async (take: (bytes: Buffer) => void) => {
        for (;;) {
          take(Buffer.alloc(32 * 1_024));
          taken += 32;
        }
      };
      const principal = { kind: 'machine', role: 'hub', machineId, customerId: '', certificate: Buffer.alloc(1) };
      const call = link({ forEach } as unknown as ByteStream, { peer: '', principal } as unknown as CallContext);
      expect(await call.catch((thrown) => thrown)).to.include({ reason: 'EXHAUSTED' });
      return taken;
    };
    for (let hub = 0; hub < 62; hub++) expect(await pour(`hub ${hub}`)).to.be.within(4_096, 4_160);
    expect(trunk.queuedBytes).to.be.below(256 * 1_024 * 1_024);
    for (let hub = 62; hub < 1_000; hub++) await pour(`hub ${hub}`);
    expect(await pour('one more')).to.be.at.most(96);
    expect(trunk.queuedBytes).to.be.below(2 * 256 * 1_024 * 1_024);
  });
});
