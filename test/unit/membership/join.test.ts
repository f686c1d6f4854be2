// Becoming a member: whom a hub asks, and whom it leaves alone.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';
import { expect } from 'chai';
import { Role } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import { SealingKeyPair } from '../../../src/identity/sealing-keys.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { join } from '../../../src/membership/join.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';
import { CUSTOMER, newAuthority } from '../identity/fixtures.js';

/** Whether a hub that finds no connector, or knows one that is away, asks the cloud of its token; and what it says. */
async function asksCloud(directAllowed: boolean, connectors: string[] = []): Promise<{ asked: boolean; said: string }> {
  const directory = await mkdtemp(path(tmpdir(), 'occ-join-'));
  const giveUp = new AbortController();
  let asked = false;
  const cloud = createServer((socket) => {
    asked = true;
    socket.destroy();
  });
  cloud.listen(0, '127.0.0.1');
  await once(cloud, 'listening');
  const { port } = cloud.address() as AddressInfo;
  const random = seededRandom(testSeed);
  const token = {
    cloud: `127.0.0.1:${port}`,
    caCertificates: [...(await newAuthority()).bundle.ders],
    enrollmentKey: SealingKeyPair.generate().publicKey,
    tokenId: random.bytes(16),
    secret: random.bytes(32),
    customerId: uuidBytes(CUSTOMER),
    role: Role.HUB,
    expiresAtMs: 0,
    connectors: [],
    machineId: Buffer.alloc(0),
  };
  // Nobody answers in any case; what is looked at is who was asked by the first try's end.
  const log = silentLogger.child({}, { level: 'warn' });
  let said = '';
  log.info = (text: unknown) => {
    said += text;
  };
  log.warn = () => giveUp.abort(new Error('enough'));
  try {
    await join(
      { token, directories: { hub: directory }, connectors, multicast: false, directAllowed },
      { clock: systemClock, random, log, signal: giveUp.signal },
    ).catch((thrown) => expect(thrown.message).to.equal('enough'));
    return { asked, said };
  } finally {
    cloud.close();
    await once(cloud, 'close');
    await rm(directory, { recursive: true });
  }
}

describe('membership: join', () => {
  it('asks the cloud where no connector answers', async () => {
    const { asked, said } = await asksCloud(true);
    expect(asked).to.equal(true);
    expect(said).to.contain('no connector was found');
    // Of one that is known and away it says why.
    expect((await asksCloud(true, ['127.0.0.1:1'])).said).not.to.contain('no connector');
  });

  it('never asks the cloud where the hub may not go direct', async () => {
    expect((await asksCloud(false)).asked).to.equal(false);
  });
});
