// What a hub has sealed anew is its own word, or nothing.
import { expect } from 'chai';
import { Resealed } from '../../../../gen/occmesh/link/v1/link.js';
import type { Signed } from '../../../../gen/occmesh/telemetry/v1/telemetry.js';
import { takeResealed } from '../../../../src/cloud/sessions/resealed.js';
import { SigningKey } from '../../../../src/identity/keys.js';
import { signContent } from '../../../../src/identity/signed.js';
import { TAGS } from '../../../../src/identity/tags.js';

describe('sessions: secrets that are sealed anew', () => {
  const [key, stranger] = [SigningKey.generate(), SigningKey.generate()];
  const machine = Buffer.alloc(16, 7);
  const hub = {
    machineId: 'hub',
    machine,
    verifyKey: (keyId: Uint8Array) => (key.publicKey.keyId.equals(keyId) ? key.publicKey : undefined),
  };
  const content = Resealed.encode(Resealed.fromPartial({ machineId: machine, configVersion: 5 })).finish();

  async function outcome(signed: Signed): Promise<string> {
    const taken: number[] = [];
    const takes = async (_: string, { configVersion }: Resealed) => taken.push(configVersion) > 0;
    const inventory = { takeResealed: takes } as Parameters<typeof takeResealed>[0]['inventory'];
    try {
      return `${await takeResealed({ inventory }, hub, signed)}: ${taken}`;
    } catch (thrown) {
      expect(taken).to.deep.equal([]);
      return (thrown as { code: string }).code;
    }
  }

  it('are taken when the hub has signed for them', async () => {
    expect(await outcome(signContent(key, TAGS.RESEALED, content))).to.equal('true: 5');
  });

  it('are refused when anybody else has, for anything else, or when they were changed', async () => {
    const good = signContent(key, TAGS.RESEALED, content);
    const other = Resealed.encode(Resealed.fromPartial({ machineId: Buffer.alloc(16, 8) })).finish();
    for (const [what, signed, code] of [
      ['a stranger', signContent(stranger, TAGS.RESEALED, content), 'link.unauthentic'],
      [
        'a stranger with the key id',
        { ...signContent(stranger, TAGS.RESEALED, content), keyId: good.keyId },
        'link.unauthentic',
      ],
      ['another purpose', signContent(key, TAGS.GAP, content), 'link.unauthentic'],
      ['changed', { ...good, content: Buffer.concat([content, Buffer.of(8, 6)]) }, 'link.unauthentic'],
      ['another hub', signContent(key, TAGS.RESEALED, other), 'link.unauthentic'],
      ['no message', signContent(key, TAGS.RESEALED, Buffer.of(0xff)), 'link.protocol'],
    ] as const) {
      expect(await outcome(signed), what).to.equal(code);
    }
  });
});
