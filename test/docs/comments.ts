// The comments of proto files, by the full name of what they stand at. Compiled descriptors know places by numbers only
// (google.protobuf.SourceCodeInfo).
import type { DescriptorProto, EnumDescriptorProto, FileDescriptorProto } from '@bufbuild/protobuf/wkt';

export type Comments = ReadonlyMap<string, string>;

type Path = readonly number[];

/** Of a file, what stands above its `syntax` goes by the file's name. */
export function commentsOf(files: readonly FileDescriptorProto[]): Comments {
  const comments = new Map<string, string>();
  for (const file of files) {
    const texts = new Map(
      file.sourceCodeInfo?.location.map(({ path, leadingComments }) => [path.join(), tidy(leadingComments)]),
    );
    for (const [name, path] of named(file)) comments.set(name, texts.get(path.join()) ?? '');
  }
  return comments;
}

const tidy = (comment: string): string => comment.replaceAll(/^ /gm, '').trim();

function* named(file: FileDescriptorProto): Generator<[name: string, path: Path]> {
  yield [file.name, [12]];
  for (const [i, service] of file.service.entries()) {
    const name = `${file.package}.${service.name}`;
    yield [name, [6, i]];
    for (const [j, method] of service.method.entries()) yield [`${name}.${method.name}`, [6, i, 2, j]];
  }
  for (const [i, message] of file.messageType.entries()) yield* inMessage(message, file.package, [4, i]);
  for (const [i, one] of file.enumType.entries()) yield* inEnum(one, file.package, [5, i]);
}

function* inMessage(message: DescriptorProto, parent: string, path: Path): Generator<[string, Path]> {
  const name = `${parent}.${message.name}`;
  yield [name, path];
  for (const [i, field] of message.field.entries()) yield [`${name}.${field.name}`, [...path, 2, i]];
  for (const [i, nested] of message.nestedType.entries()) yield* inMessage(nested, name, [...path, 3, i]);
  for (const [i, one] of message.enumType.entries()) yield* inEnum(one, name, [...path, 4, i]);
}

function* inEnum(one: EnumDescriptorProto, parent: string, path: Path): Generator<[string, Path]> {
  const name = `${parent}.${one.name}`;
  yield [name, path];
  for (const [i, value] of one.value.entries()) yield [`${name}.${value.name}`, [...path, 2, i]];
}
