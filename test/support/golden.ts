// Golden examples: messages with the bytes that they once had on the wire or on disk. Whatever was released must read
// them for ever, and must write them the same way, because signatures and digests are made over bytes.
//
// File format, one file per package in test/contract/golden: entries divided by blank lines. An entry is a line with
// the message's full name, a line of ProtoJSON, and lines of hex. Lines that begin with `#` are for readers.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, type DescField, type DescMessage, fromJson, type Message, ScalarType } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';

const DIRECTORY = join(import.meta.dirname, '../contract/golden');
const HEX_WIDTH = 100;
const HEADER = `# Never change an entry: it stands for what is already out there. New ones: UPDATE_GOLDEN=1 make test-contract`;

export interface GoldenEntry {
  /** Full name of the message. */
  readonly name: string;
  /** ProtoJSON, on one line. */
  readonly json: string;
  readonly bytes: Buffer;
}

/** `occmesh/link/v1/link` → `link.txt`. */
export const goldenFileOf = (desc: DescMessage): string => `${desc.file.name.split('/').at(-1)}.txt`;

export function readGolden(): Map<string, GoldenEntry[]> {
  const names = readdirSync(DIRECTORY).filter((name) => name.endsWith('.txt'));
  return new Map(names.map((name) => [name, parseGolden(readFileSync(join(DIRECTORY, name), 'utf8'))]));
}

/** Adds entries to the end of a file; those that stand there are not touched. */
export function addGolden(file: string, entries: readonly GoldenEntry[]): void {
  const path = join(DIRECTORY, file);
  const before = readdirSync(DIRECTORY).includes(file) ? readFileSync(path, 'utf8') : `${HEADER}\n`;
  writeFileSync(path, before + entries.map((entry) => `\n${formatGolden(entry)}`).join(''));
}

export function parseGolden(text: string): GoldenEntry[] {
  const readable = text.replaceAll(/^#.*\n/gm, '');
  return readable
    .split(/\n\s*\n/)
    .map((block) => block.trim())
    .filter((block) => block !== '')
    .map((block) => {
      const [name = '', json = '', ...hex] = block.split('\n').map((line) => line.trim());
      const digits = hex.join('');
      if (!/^[\w.]+$/.test(name) || !json.startsWith('{') || !/^([0-9a-f]{2})*$/.test(digits)) {
        throw new Error(`not a golden entry: ${block}`);
      }
      return { name, json, bytes: Buffer.from(digits, 'hex') };
    });
}

export function formatGolden({ name, json, bytes }: GoldenEntry): string {
  const lines = bytes.toString('hex').match(new RegExp(`.{1,${HEX_WIDTH}}`, 'g')) ?? [];
  return [name, json, ...lines].map((line) => `${line}\n`).join('');
}

/** A message in which the fields named, and all others outside of oneofs, have a value that tells them apart. */
export function exampleOf(desc: DescMessage, wanted: ReadonlySet<DescField> = new Set()): Message {
  if (desc.typeName === 'google.protobuf.Struct') {
    return fromJson(desc, { path: ['/var', 0.5, true, null] });
  }
  const message = create(desc);
  const reflected = reflect(desc, message);
  for (const member of desc.members) {
    const field = member.kind === 'oneof' ? (member.fields.find((one) => wanted.has(one)) ?? member.fields[0]) : member;
    if (!field) continue;
    if (field.fieldKind === 'list') {
      const list = reflected.get(field);
      for (const nth of [0, 1]) list.add(sampleFor(field, nth));
    } else if (field.fieldKind === 'map') {
      throw new Error(`${field}: no examples of maps yet`);
    } else reflected.set(field, sampleFor(field, 0));
  }
  return message;
}

/** Differs by field, and among plain values also by position in a list, so that none change places unnoticed. */
function sampleFor(field: DescField, nth: number): unknown {
  const number = field.number * 10 + nth;
  if (field.message) return reflect(field.message, exampleOf(field.message));
  if (field.enum) return field.enum.values[1 + (nth % Math.max(1, field.enum.values.length - 1))]?.number ?? 0;
  switch (field.scalar) {
    case ScalarType.STRING:
      return `${field.name} ${number} é`;
    case ScalarType.BYTES:
      return Uint8Array.of(0, number, 255);
    case ScalarType.BOOL:
      return true;
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      return number + 0.5;
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return field.name.endsWith('_ms') ? 1_767_225_600_000n + BigInt(number) : -(2n ** 40n) - BigInt(number);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return 2n ** 40n + BigInt(number);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return -number;
    default:
      return 300 + number;
  }
}
