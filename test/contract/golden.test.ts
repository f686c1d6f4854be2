// Golden bytes: what was once written must be read for ever, and is written the same way today. For a new message or
// field, UPDATE_GOLDEN=1 adds examples; it never changes one. Whoever wants one changed has to delete it by hand, and
// to say why.
import {
  type DescField,
  type DescMessage,
  equals,
  fromBinary,
  fromJson,
  type JsonValue,
  toJson,
} from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import { expect } from 'chai';
import { codecOf, contractMessages, type GeneratedCodec } from '../support/generated.js';
import {
  addGolden,
  exampleOf,
  formatGolden,
  type GoldenEntry,
  goldenFileOf,
  parseGolden,
  readGolden,
} from '../support/golden.js';

const update = process.env.UPDATE_GOLDEN === '1';
const messages = new Map(contractMessages().map((desc) => [desc.typeName, desc]));

function descOf(name: string): DescMessage {
  const desc = messages.get(name);
  if (!desc) throw new Error(`${name} is gone from the contract, but what was written stays readable only with it`);
  return desc;
}

const jsonOf = ({ json }: GoldenEntry) => JSON.parse(json) as JsonValue;

/** Fields that no example sets. */
function uncovered(desc: DescMessage, entries: readonly GoldenEntry[]): Set<DescField> {
  const missing = new Set(desc.fields);
  for (const entry of entries) {
    const reflected = reflect(desc, fromJson(desc, jsonOf(entry)));
    for (const field of desc.fields) if (reflected.isSet(field)) missing.delete(field);
  }
  return missing;
}

/** Examples that set every field that had none; a message without fields gets one, too. */
function newEntries(desc: DescMessage, codec: GeneratedCodec, old: readonly GoldenEntry[]): GoldenEntry[] {
  const made: GoldenEntry[] = [];
  for (;;) {
    const missing = uncovered(desc, [...old, ...made]);
    if (missing.size === 0 && old.length + made.length > 0) return made;
    const json = toJson(desc, exampleOf(desc, missing));
    const bytes = Buffer.from(codec.encode(codec.fromJSON(json)).finish());
    made.push({ name: desc.typeName, json: JSON.stringify(json), bytes });
  }
}

async function addMissing(): Promise<void> {
  const golden = readGolden();
  for (const desc of messages.values()) {
    const old = (golden.get(goldenFileOf(desc)) ?? []).filter(({ name }) => name === desc.typeName);
    const made = newEntries(desc, await codecOf(desc), old);
    if (made.length > 0) addGolden(goldenFileOf(desc), made);
  }
}

function check(entry: GoldenEntry, codec: GeneratedCodec): void {
  const desc = descOf(entry.name);
  const expected = fromJson(desc, jsonOf(entry));
  const written = Buffer.from(codec.encode(codec.fromJSON(jsonOf(entry))).finish());
  expect(written.toString('hex'), 'the bytes of today').to.equal(entry.bytes.toString('hex'));
  const read = fromJson(desc, codec.toJSON(codec.decode(entry.bytes)) as JsonValue);
  expect(toJson(desc, read), 'what the generated code reads').to.deep.equal(jsonOf(entry));
  expect(equals(desc, fromBinary(desc, entry.bytes), expected), 'what another implementation reads').to.equal(true);
}

describe('golden bytes', () => {
  before(async () => {
    if (update) await addMissing();
  });

  for (const desc of messages.values()) {
    it(`of ${desc.typeName} are read and written as ever`, async () => {
      const codec = await codecOf(desc);
      const entries = (readGolden().get(goldenFileOf(desc)) ?? []).filter(({ name }) => name === desc.typeName);
      for (const entry of entries) check(entry, codec);
      const missing = [...uncovered(desc, entries)].map(({ name }) => name);
      const advice = 'no example sets these: UPDATE_GOLDEN=1 make test-contract';
      expect(missing, advice).to.deep.equal([]);
      expect(entries, advice).to.not.be.empty;
    });
  }

  it('are of messages that still exist', () => {
    const names = [...readGolden().values()].flat().map(({ name }) => name);
    expect(names.length).to.be.at.least(messages.size);
    for (const name of names) descOf(name);
  });

  it('survive their file format', () => {
    const entry = { name: 'occmesh.link.v1.Ack', json: '{"a":"b # c"}', bytes: Buffer.alloc(200, 7) };
    expect(parseGolden(`# for readers\n\n${formatGolden(entry)}\n\n${formatGolden(entry)}`)).to.deep.equal([
      entry,
      entry,
    ]);
  });

  it('would be missed when they change (negative control)', async () => {
    const [entry] = readGolden().get('link.txt') ?? [];
    if (!entry) throw new Error('no example');
    const codec = await codecOf(descOf(entry.name));
    const changed = Buffer.from(entry.bytes);
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
    expect(() => check({ ...entry, bytes: changed }, codec)).to.throw(/the bytes of today/);
  });
});
