// google.protobuf.FieldMask in lists: of each item only the fields that were asked for (https://google.aip.dev/157).
import type { DescMessage } from '@bufbuild/protobuf';
import { loadDescriptors } from '../../contract/descriptors.js';
import { invalid } from '../../contract/status.js';

const MOST_PATHS = 100;
const MAX_QUOTED = 100;

/** Names of fields, as they are here, to what is wanted of each; undefined: all. */
type Mask = Map<string, Mask | undefined>;

/** What ts-proto generates; `never` because the types of masked items are known at run time only. */
interface Codec<T> {
  fromPartial(partial: never): T;
}

/** Takes the unwanted away; undefined when all is wanted. Faults: api.invalid, naming a path that there is not. */
export function readMask<T extends object>(
  type: string,
  codec: Codec<T>,
  paths: readonly string[] = [],
): ((item: T) => T) | undefined {
  if (paths.length === 0) return undefined;
  if (paths.length > MOST_PATHS) throw invalid('read_mask', `there may be at most ${MOST_PATHS} paths`);
  const desc = loadDescriptors().registry.getMessage(type);
  if (!desc) throw new TypeError(`there is no message ${type}`);
  const mask: Mask = new Map();
  for (const path of paths) {
    if (!add(mask, desc, path.split('.')))
      throw invalid('read_mask', `${desc.name} has no field ${JSON.stringify(path.slice(0, MAX_QUOTED))}`);
  }
  return (item) => codec.fromPartial(masked(item, mask) as never);
}

/** Whether there is such a path. Only the last part of one may be repeated, or somebody else's message. */
function add(mask: Mask, desc: DescMessage, [name, ...rest]: readonly string[]): boolean {
  const field = desc.fields.find((one) => one.name === name);
  if (!field) return false;
  if (rest.length === 0) {
    mask.set(field.localName, undefined);
    return true;
  }
  if (field.fieldKind !== 'message' || !field.message.typeName.startsWith('occmesh.')) return false;
  const known = mask.get(field.localName);
  const inner: Mask = known ?? new Map();
  const exists = add(inner, field.message, rest);
  // Whoever wants all of it and a part wants all.
  if (exists && (known || !mask.has(field.localName))) mask.set(field.localName, inner);
  return exists;
}

function masked(item: object, mask: Mask): object {
  const wanted: Record<string, unknown> = {};
  for (const [name, inner] of mask) {
    const value: unknown = Reflect.get(item, name);
    wanted[name] = inner && value !== null && typeof value === 'object' ? masked(value, inner) : value;
  }
  return wanted;
}
