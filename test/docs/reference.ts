// The API reference: one page of Markdown for each package, made of nothing but the contract and its comments.
import {
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  ScalarType,
} from '@bufbuild/protobuf';
import { Caller, Scope } from '../../gen/occmesh/access/v1/access.js';
import type { Descriptors } from '../../src/contract/descriptors.js';
import { type Comments, commentsOf } from './comments.js';

const WELL_KNOWN = 'https://protobuf.dev/reference/protobuf/google.protobuf/';
const ERROR =
  /\b(?:INVALID_ARGUMENT|UNAUTHENTICATED|PERMISSION_DENIED|NOT_FOUND|ALREADY_EXISTS|RESOURCE_EXHAUSTED|FAILED_PRECONDITION|ABORTED|UNAVAILABLE|DEADLINE_EXCEEDED|CANCELLED|UNIMPLEMENTED|INTERNAL)\b/g;

/** Pages by their file names. `descriptors` with their source information. */
export function referenceOf(descriptors: Descriptors): ReadonlyMap<string, string> {
  const comments = commentsOf(descriptors.set.file);
  const packages = new Map<string, DescFile[]>();
  for (const file of descriptors.registry.files) {
    const name = file.proto.package;
    if (name !== 'google.protobuf') packages.set(name, [...(packages.get(name) ?? []), file]);
  }
  const writer = new Writer(descriptors, comments);
  const pages = [...packages].map(([name, files]): [string, string] => [`${name}.md`, writer.page(name, files)]);
  return new Map(pages.sort(([a], [b]) => (a < b ? -1 : 1)));
}

class Writer {
  readonly #rules;
  readonly #scopes;
  readonly #changes;

  constructor(
    descriptors: Descriptors,
    private readonly comments: Comments,
  ) {
    this.#rules = descriptors.accessRules();
    this.#scopes = descriptors.scopes();
    this.#changes = descriptors.changes();
  }

  page(name: string, files: readonly DescFile[]): string {
    const messages = files.flatMap((file) => file.messages).flatMap(withNested);
    const enums = [...files.flatMap((file) => file.enums), ...messages.flatMap((message) => message.nestedEnums)];
    const parts = [
      `# ${name}`,
      ...files.map((file) => this.#comment(file.proto.name)),
      ...section(
        'Services',
        files.flatMap((file) => file.services).flatMap((service) => this.#service(service)),
      ),
      ...section(
        'Messages',
        messages.flatMap((message) => this.#message(message)),
      ),
      ...section(
        'Enumerations',
        enums.flatMap((one) => this.#enum(one)),
      ),
    ];
    return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
  }

  #service(service: DescService): string[] {
    const rpcs = service.methods.flatMap((method) => this.#rpc(method));
    return [heading(3, service.name, service.typeName), this.#comment(service.typeName), ...rpcs];
  }

  #rpc(method: DescMethod): string[] {
    const name = `${method.parent.typeName}.${method.name}`;
    const path = `/${method.parent.typeName}/${method.name}`;
    const streams = {
      ask: /^(?:client|bidi)/.test(method.methodKind),
      answer: /^(?:server|bidi)/.test(method.methodKind),
    };
    const side = (message: DescMessage, isStream: boolean) => `${isStream ? 'stream of ' : ''}${linkTo(message)}`;
    const callers = (this.#rules.get(path) ?? []).map((caller) => `\`${Caller[caller]}\``);
    const scope = this.#scopes.get(path);
    if (scope !== undefined) callers.push(`services with \`${Scope[scope]}\``);
    const errors = [...new Set((this.comments.get(name) ?? '').match(ERROR))].map((code) => `\`${code}\``);
    const facts = [
      `- ${side(method.input, streams.ask)} → ${side(method.output, streams.answer)}`,
      `- Callers: ${callers.join(', ') || 'nobody'}`,
      ...(this.#changes.has(path) ? ['- Changes something, and is in the audit log'] : []),
      ...(errors.length > 0 ? [`- Errors, besides those common to all: ${errors.join(', ')}`] : []),
    ];
    return [heading(4, method.name, name), this.#comment(name), facts.join('\n')];
  }

  #message(message: DescMessage): string[] {
    const rows = message.fields.map((field) => {
      const comment = this.#comment(`${message.typeName}.${field.name}`).replaceAll(/\s*\n\s*/g, ' ');
      return `| \`${field.name}\` | ${field.number} | ${typeOf(field)} | ${comment} |`;
    });
    const table = ['| field | number | type | |', '|---|---|---|---|', ...rows].join('\n');
    const name = message.typeName.slice(message.file.proto.package.length + 1);
    return [heading(3, name, message.typeName), this.#comment(message.typeName), rows.length > 0 ? table : ''];
  }

  #enum(one: DescEnum): string[] {
    const rows = one.values.map((value) => {
      const comment = this.#comment(`${one.typeName}.${value.name}`).replaceAll(/\s*\n\s*/g, ' ');
      return `| \`${value.name}\` | ${value.number} | ${comment} |`;
    });
    const table = ['| value | number | |', '|---|---|---|', ...rows].join('\n');
    const name = one.typeName.slice(one.file.proto.package.length + 1);
    return [heading(3, name, one.typeName), this.#comment(one.typeName), table];
  }

  /** As Markdown that shows the same characters. */
  #comment(name: string): string {
    const parts = (this.comments.get(name) ?? '').split(/(`[^`]*`)/);
    return parts.map((part, i) => (i % 2 ? part : part.replaceAll(/[*<|]/g, '\\$&'))).join('');
  }
}

const withNested = (message: DescMessage): DescMessage[] => [
  ...(message.proto.options?.mapEntry ? [] : [message]),
  ...message.nestedMessages.flatMap(withNested),
];

const section = (title: string, parts: readonly string[]): string[] =>
  parts.length > 0 ? [`## ${title}`, ...parts] : [];

const heading = (level: number, text: string, anchor: string): string =>
  `${'#'.repeat(level)} <a id="${anchor}"></a>${text}`;

function linkTo(type: DescMessage | DescEnum): string {
  const { package: name } = type.file.proto;
  const text = type.typeName.slice(name.length + 1);
  if (name === 'google.protobuf') return `[${text}](${WELL_KNOWN})`;
  return `[${text}](${name}.md#${type.typeName})`;
}

/** `repeated`, `optional` and the name of the type, as the proto file says them. */
function typeOf(field: DescField): string {
  if (field.fieldKind === 'map') return `map from ${scalar(field.mapKey)} to ${itemType(field)}`;
  if (field.fieldKind === 'list') return `repeated ${itemType(field)}`;
  if (field.oneof) return `${itemType(field)}, one of \`${field.oneof.name}\``;
  return `${field.proto.proto3Optional ? 'optional ' : ''}${itemType(field)}`;
}

function itemType(field: DescField): string {
  if (field.message) return linkTo(field.message);
  if (field.enum) return linkTo(field.enum);
  return scalar(field.scalar);
}

const scalar = (type: ScalarType | undefined): string =>
  `\`${type === undefined ? '' : ScalarType[type].toLowerCase()}\``;
