// The compiled contract, gen/descriptors.binpb: which services and methods there are, and who may call them. It is
// read at run time, so that the rule that is enforced is the rule that stands in the proto file.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  createFileRegistry,
  type DescMethod,
  type FileRegistry,
  fromBinary,
  getOption,
  hasOption,
} from '@bufbuild/protobuf';
import { type FileDescriptorSet, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Caller, Scope } from '../../gen/occmesh/access/v1/access.js';
import { ContractFault } from './fault.js';

/** Full method path, `/occmesh.link.v1.LinkService/Link`, to whoever may call it. Absent or empty: nobody. */
export type AccessRules = ReadonlyMap<string, readonly Caller[]>;

const ACCESS_OPTION = 'occmesh.access.v1.access';
/** Standard services cannot carry our option; what they tell is no secret. */
const OPEN_SERVICES = ['grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection'];
// From src/contract (tsx) and from dist/src/contract (compiled).
const PLACES = ['../../gen/descriptors.binpb', '../../../gen/descriptors.binpb'];

/** One method of the contract. */
export interface MethodInfo {
  readonly service: string;
  readonly name: string;
  readonly path: string;
  readonly clientStreaming: boolean;
  readonly serverStreaming: boolean;
}

export class Descriptors {
  readonly set: FileDescriptorSet;
  readonly registry: FileRegistry;

  /** `binary` is a serialised FileDescriptorSet, as `buf build` writes it. Faults: contract.bad-setting. */
  constructor(readonly binary: Uint8Array) {
    try {
      this.set = fromBinary(FileDescriptorSetSchema, binary);
      this.registry = createFileRegistry(this.set);
    } catch (cause) {
      throw new ContractFault('contract.bad-setting', 'the compiled contract cannot be read', {
        cause,
        permanent: true,
      });
    }
  }

  /** Every service with its methods, in the order of the files. */
  methods(): MethodInfo[] {
    const found: MethodInfo[] = [];
    for (const service of this.services()) {
      for (const method of service.methods) found.push(infoOf(method));
    }
    return found;
  }

  services() {
    return [...this.registry.files].flatMap((file) => file.services);
  }

  accessRules(): AccessRules {
    const option = this.registry.getExtension(ACCESS_OPTION);
    const rules = new Map<string, readonly Caller[]>();
    for (const service of this.services()) {
      for (const method of service.methods) {
        if (OPEN_SERVICES.includes(service.typeName)) rules.set(infoOf(method).path, [Caller.ANYONE]);
        else if (option && hasOption(method, option))
          rules.set(infoOf(method).path, callersIn(getOption(method, option)));
      }
    }
    return rules;
  }

  /** What a service needs to call a method, by path. */
  scopes(): ReadonlyMap<string, Scope> {
    const option = this.registry.getExtension(ACCESS_OPTION);
    const scopes = new Map<string, Scope>();
    for (const method of this.services().flatMap((service) => service.methods)) {
      const scope = option && hasOption(method, option) ? scopeIn(getOption(method, option)) : undefined;
      if (scope !== undefined) scopes.set(infoOf(method).path, scope);
    }
    return scopes;
  }

  /** Paths of the methods that change something, as the access option says. */
  changes(): ReadonlySet<string> {
    return this.#flagged('changes');
  }

  /** Paths of the methods whose requests are wiped, as the access option says. */
  secrets(): ReadonlySet<string> {
    return this.#flagged('secret');
  }

  #flagged(flag: string): ReadonlySet<string> {
    const option = this.registry.getExtension(ACCESS_OPTION);
    const methods = this.services().flatMap((service) => service.methods);
    const flagged = methods.filter(
      (method) => option && hasOption(method, option) && isSet(getOption(method, option), flag),
    );
    return new Set(flagged.map((method) => infoOf(method).path));
  }
}

/** The option's type is known at run time only. */
const isSet = (access: unknown, flag: string): boolean =>
  access !== null && typeof access === 'object' && Reflect.get(access, flag) === true;

function infoOf(method: DescMethod): MethodInfo {
  const kind = method.methodKind;
  return {
    service: method.parent.typeName,
    name: method.name,
    path: `/${method.parent.typeName}/${method.name}`,
    clientStreaming: kind === 'client_streaming' || kind === 'bidi_streaming',
    serverStreaming: kind === 'server_streaming' || kind === 'bidi_streaming',
  };
}

/** The option's type is known at run time only. What is not a known caller is nobody. */
function callersIn(access: unknown): Caller[] {
  const callers = access !== null && typeof access === 'object' && 'callers' in access ? access.callers : undefined;
  if (!Array.isArray(callers)) return [];
  return callers.filter((caller) => typeof caller === 'number' && caller in Caller && caller !== Caller.UNSPECIFIED);
}

/** As callersIn. */
function scopeIn(access: unknown): Scope | undefined {
  const scope: unknown = access !== null && typeof access === 'object' ? Reflect.get(access, 'scope') : undefined;
  return typeof scope === 'number' && scope in Scope && scope !== Scope.UNSPECIFIED ? scope : undefined;
}

let loaded: Descriptors | undefined;

/** The descriptors that belong to this program. Read once. Faults: contract.bad-setting. */
export function loadDescriptors(): Descriptors {
  if (loaded) return loaded;
  const path = PLACES.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((at) => existsSync(at));
  if (path === undefined) {
    throw new ContractFault('contract.bad-setting', 'gen/descriptors.binpb is missing', {
      permanent: true,
      advice: 'Install the program again.',
    });
  }
  loaded = new Descriptors(readFileSync(path));
  return loaded;
}
