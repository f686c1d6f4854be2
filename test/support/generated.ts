// Every message of the contract with its generated codec beside its descriptor, so that tests can hold the two
// against each other: ts-proto is what the program uses, @bufbuild/protobuf is an implementation of its own.
import type { DescMessage } from '@bufbuild/protobuf';
import { loadDescriptors } from '../../src/contract/descriptors.js';

/** What ts-proto generates for a message. */
export interface GeneratedCodec {
  encode(message: unknown): { finish(): Uint8Array };
  decode(bytes: Uint8Array): unknown;
  fromJSON(json: unknown): unknown;
  toJSON(message: unknown): unknown;
}

/** Our own messages, by package and in the order of the files; not those of standard protocols. */
export function contractMessages(): DescMessage[] {
  const files = [...loadDescriptors().registry.files].filter(({ name }) => name.startsWith('occmesh/'));
  return files
    .flatMap(({ messages }) => messages)
    .flatMap(withNested)
    .sort((a, b) => (a.file.name < b.file.name ? -1 : a.file.name > b.file.name ? 1 : 0));
}

/** The generated codec of a message. */
export async function codecOf(message: DescMessage): Promise<GeneratedCodec> {
  const exported = exportedName(message);
  const module: Readonly<Record<string, unknown>> = await import(`../../gen/${message.file.name}.js`);
  const codec = module[exported];
  if (!isCodec(codec)) throw new Error(`gen/${message.file.name}.ts does not export ${exported}`);
  return codec;
}

function withNested(message: DescMessage): DescMessage[] {
  return [message, ...message.nestedMessages.flatMap(withNested)];
}

/** ts-proto joins the names of nested messages by underscores. */
function exportedName(message: DescMessage): string {
  return message.parent ? `${exportedName(message.parent)}_${message.name}` : message.name;
}

function isCodec(exported: unknown): exported is GeneratedCodec {
  if (typeof exported !== 'object' || exported === null) return false;
  const functions = exported as Readonly<Record<string, unknown>>;
  return ['encode', 'decode', 'fromJSON', 'toJSON'].every((name) => typeof functions[name] === 'function');
}
