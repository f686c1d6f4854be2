// Every message of the contract, with random content: what the generated code writes and reads means the same to an
// independent implementation, in both directions, in binary and in JSON.
import {
  type DescMessage,
  equals,
  fromBinary,
  fromJson,
  type JsonValue,
  type Message,
  toBinary,
  toJson,
} from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect } from 'chai';
import fc from 'fast-check';
import { SensorConfig } from '../../gen/occmesh/link/v1/link.js';
import { FlushRange } from '../../gen/occmesh/telemetry/v1/telemetry.js';
import { codecOf, contractMessages, type GeneratedCodec } from '../support/generated.js';
import { anyMessage } from '../support/message-arbitraries.js';
import { testSeed } from '../support/seeded-random.js';

const RUNS = { seed: testSeed, numRuns: 60 };
const OPEN = { unknownEnums: true };
const KNOWN = { unknownEnums: false };

/** Compares by meaning, and shows JSON where it differs. */
function expectSame(desc: DescMessage, found: Message, expected: Message): void {
  if (equals(desc, found, expected)) return;
  expect(toJson(desc, found)).to.deep.equal(toJson(desc, expected));
  throw new Error(`not the same, but the same JSON: ${JSON.stringify(toJson(desc, found))}`);
}

const reencoded = (codec: GeneratedCodec, bytes: Uint8Array) => codec.encode(codec.decode(bytes)).finish();

/** A field of a program to come, in every form that a field can have on the wire. */
function fieldsOfTheFuture(): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(15_001, WireType.Varint).uint64(2n ** 64n - 1n);
  writer.tag(15_002, WireType.Bit64).double(1.5);
  writer.tag(15_003, WireType.Bit32).float(1.5);
  writer.tag(15_004, WireType.LengthDelimited).string('from the future');
  return writer.finish();
}

function messageNamed(name: string): DescMessage {
  const found = contractMessages().find(({ typeName }) => typeName === name);
  if (!found) throw new Error(`no ${name}`);
  return found;
}

describe(`messages of the contract (TEST_SEED=${testSeed})`, () => {
  for (const desc of contractMessages()) {
    describe(desc.typeName, () => {
      let codec: GeneratedCodec;
      before(async () => {
        codec = await codecOf(desc);
      });

      it('means the same to another implementation, in binary', () => {
        fc.assert(
          fc.property(anyMessage(desc, OPEN), (message) => {
            const bytes = toBinary(desc, message);
            const ours = codec.decode(bytes);
            const back = codec.encode(ours).finish();
            expectSame(desc, fromBinary(desc, back), message);
            expect(codec.decode(back)).to.deep.equal(ours);
          }),
          RUNS,
        );
      });

      it('means the same to another implementation, in JSON', () => {
        fc.assert(
          fc.property(anyMessage(desc, KNOWN), (message) => {
            const ours = codec.decode(toBinary(desc, message));
            expectSame(desc, fromJson(desc, codec.toJSON(ours) as JsonValue), message);
            const read = codec.encode(codec.fromJSON(toJson(desc, message))).finish();
            expectSame(desc, fromBinary(desc, read), message);
          }),
          RUNS,
        );
      });

      it('skips fields that it does not know', () => {
        fc.assert(
          fc.property(anyMessage(desc, OPEN), (message) => {
            const bytes = Buffer.concat([fieldsOfTheFuture(), toBinary(desc, message), fieldsOfTheFuture()]);
            expectSame(desc, fromBinary(desc, reencoded(codec, bytes)), message);
          }),
          { ...RUNS, numRuns: 10 },
        );
      });
    });
  }

  it('are all there', () => {
    const packages = new Set(contractMessages().map(({ file }) => file.proto.package));
    for (const area of ['link', 'trunk', 'telemetry', 'enrollment', 'store', 'inventory', 'readings', 'operations']) {
      expect([...packages]).to.include(`occmesh.${area}.v1`);
    }
    expect(contractMessages().length).to.be.greaterThan(80);
  });

  it('refuse a 64-bit number that would be rounded', () => {
    const tooBig = new BinaryWriter()
      .tag(1, WireType.Varint)
      .uint64(2n ** 53n)
      .finish();
    expect(() => FlushRange.decode(tooBig)).to.throw(/MAX_SAFE_INTEGER/);
  });

  it('lose a setting called __proto__, and change no other object by it', () => {
    const desc = messageNamed('occmesh.link.v1.SensorConfig');
    const text = '{"settings":{"__proto__":{"polluted":true},"host":"h"}}';
    const sent = toBinary(desc, fromJson(desc, JSON.parse(text) as JsonValue));
    expect(Buffer.from(sent).toString('latin1')).to.contain('__proto__');
    const { settings } = SensorConfig.decode(sent);
    expect(Object.keys(settings ?? {})).to.deep.equal(['host']);
    expect({}).to.not.have.property('polluted');
  });

  it('would be found to differ (negative control)', async () => {
    const desc = messageNamed('occmesh.telemetry.v1.Batch');
    const codec = await codecOf(desc);
    const forgetful: GeneratedCodec = {
      ...codec,
      decode: (bytes) => ({ ...(codec.decode(bytes) as object), flushCount: 0 }),
    };
    const property = fc.property(anyMessage(desc, OPEN), (message) =>
      expectSame(desc, fromBinary(desc, reencoded(forgetful, toBinary(desc, message))), message),
    );
    expect(fc.check(property, RUNS).failed).to.equal(true);
  });
});
