// Random messages, built from nothing but their descriptors: whatever the contract allows can come out, also what
// nobody thought of. Limits that only the comments state are not observed; the codecs do not know them either.
import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  fromJson,
  type JsonObject,
  type Message,
  ScalarType,
} from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import { FieldMaskSchema, StructSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';

/** What a field may be set to; `unset` leaves it out. */
type Setting = (message: ReturnType<typeof reflect>) => void;
const unset: Setting = () => {};

export interface MessageLimits {
  /** Numbers that no name exists for yet, as a newer peer sends them. JSON has no way to say them. */
  readonly unknownEnums: boolean;
}

/** Any message of this type. */
export function anyMessage(desc: DescMessage, limits: MessageLimits): fc.Arbitrary<Message> {
  if (desc.typeName === FieldMaskSchema.typeName) return anyPaths().map((paths) => create(desc, { paths }));
  if (desc.typeName === StructSchema.typeName) return anyStruct().map((json) => fromJson(desc, json));
  const settings = desc.members.map((member) => {
    if (member.kind === 'field') return fc.oneof({ weight: 1, arbitrary: fc.constant(unset) }, weighed(member, limits));
    const cases = member.fields.map((field) => anySetting(field, limits));
    return fc.oneof(
      { weight: 1, arbitrary: fc.constant(unset) },
      ...cases.map((arbitrary) => ({ arbitrary, weight: 2 })),
    );
  });
  return fc.tuple(...settings).map((chosen) => {
    const message = create(desc);
    const reflected = reflect(desc, message);
    for (const set of chosen) set(reflected);
    return message;
  });
}

const weighed = (field: DescField, limits: MessageLimits) => ({ weight: 4, arbitrary: anySetting(field, limits) });

function anySetting(field: DescField, limits: MessageLimits): fc.Arbitrary<Setting> {
  switch (field.fieldKind) {
    case 'scalar':
      return anyScalar(field.scalar).map((value) => (message) => message.set(field, value));
    case 'enum':
      return anyEnum(field.enum, limits).map((value) => (message) => message.set(field, value));
    case 'message':
      return anyMessage(field.message, limits).map((value) => (message) => {
        message.set(field, reflect(field.message, value));
      });
    case 'list':
      return fc.array(anyItem(field, limits), { maxLength: 5 }).map((items) => (message) => {
        const list = message.get(field);
        for (const item of items) list.add(item);
      });
    case 'map':
      return fc
        .uniqueArray(fc.tuple(anyScalar(field.mapKey), anyItem(field, limits)), {
          maxLength: 4,
          selector: ([key]) => key,
        })
        .map((entries) => (message) => {
          const map = message.get(field);
          for (const [key, value] of entries) map.set(key as string | number | bigint | boolean, value);
        });
  }
}

/** An element of a list or a value of a map. */
function anyItem(field: DescField & { fieldKind: 'list' | 'map' }, limits: MessageLimits): fc.Arbitrary<Item> {
  const element = field.fieldKind === 'list' ? field.listKind : field.mapKind;
  if (element === 'message' && field.message) {
    const { message } = field;
    return anyMessage(message, limits).map((value) => reflect(message, value));
  }
  if (element === 'enum' && field.enum) return anyEnum(field.enum, limits);
  if (field.scalar === undefined) throw new Error(`${field} has no type`);
  return anyScalar(field.scalar);
}

type Scalar = string | number | bigint | boolean | Uint8Array;
type Item = Scalar | ReturnType<typeof reflect>;

const INT32 = { min: -(2 ** 31), max: 2 ** 31 - 1 };
const UINT32 = { min: 0, max: 2 ** 32 - 1 };
/** 64-bit integers are numbers in the generated code: exact up to here, and it refuses what is beyond. */
const safe = (min: number) =>
  fc.oneof(fc.integer({ min: Math.max(min, -300), max: 300 }), fc.integer({ min, max: Number.MAX_SAFE_INTEGER }));

function anyScalar(type: ScalarType): fc.Arbitrary<Scalar> {
  switch (type) {
    case ScalarType.STRING:
      return fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 8 }));
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 40 }).map((bytes) => Uint8Array.from(bytes));
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.DOUBLE:
      // The generated code takes -0 for the default, 0, and both are the same number; NaN equals nothing.
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value));
    case ScalarType.FLOAT:
      return fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? 0 : value));
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return fc.integer(INT32);
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return fc.integer(UINT32);
    case ScalarType.INT64:
    case ScalarType.SINT64:
    case ScalarType.SFIXED64:
      return safe(Number.MIN_SAFE_INTEGER).map(BigInt);
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return safe(0).map(BigInt);
  }
}

function anyEnum({ values }: DescEnum, { unknownEnums }: MessageLimits): fc.Arbitrary<number> {
  const known = fc.constantFrom(...values.map(({ number }) => number));
  if (!unknownEnums) return known;
  return fc.oneof({ weight: 5, arbitrary: known }, { weight: 1, arbitrary: fc.integer({ min: 1_000, max: 2_000 }) });
}

/**
 * What a Struct can hold. By way of text, because it makes 0 of -0, for the reason given above. Without the key
 * `__proto__`, which the generated code loses; messages.test.ts has a test of its own for that.
 */
const anyStruct = (): fc.Arbitrary<JsonObject> =>
  fc
    .dictionary(fc.string({ unit: 'grapheme', maxLength: 8 }), fc.jsonValue({ maxDepth: 3, stringUnit: 'grapheme' }), {
      maxKeys: 4,
      noNullPrototype: true,
    })
    .map((value) => JSON.stringify(value))
    .filter((text) => !text.includes('__proto__'))
    .map((text) => JSON.parse(text) as JsonObject);

/**
 * What a FieldMask can hold and JSON gives back: it is one text there. Of single words, because the generated code does
 * not make `aB` of `a_b`; nothing here sends masks as JSON.
 */
const anyPaths = (): fc.Arbitrary<string[]> =>
  fc.array(fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8}){0,2}$/), { maxLength: 4 });
