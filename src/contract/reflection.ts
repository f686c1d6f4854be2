// grpc.reflection.v1: a server tells which services it has and what their messages look like, so that grpcurl and
// the like need no proto files. Files are served as the very bytes of the compiled contract: @grpc/reflection builds
// them anew and loses imports and options.
// https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
import type { DescFile } from '@bufbuild/protobuf';
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { status as Status } from '@grpc/grpc-js';
import {
  ServerReflectionRequest,
  ServerReflectionResponse,
  ServerReflectionService,
} from '../../gen/grpc/reflection/v1/reflection.js';
import type { ByteStream } from './byte-stream.js';
import type { Descriptors } from './descriptors.js';
import { ContractFault } from './fault.js';
import type { Implementation } from './handlers.js';
import type { GrpcListener } from './listener.js';

/** Anybody may ask, and need not read the answers, which wait in memory: so many streams at once, and no more. */
const MOST_STREAMS = 32;

type Answer = NonNullable<ServerReflectionResponse['messageResponse']>;

export class Reflection {
  readonly #descriptors: Descriptors;
  readonly #services: readonly string[];
  /** By file name; only what the services need: how the cloud stores things is nobody's business. */
  readonly #files = new Map<string, { readonly file: DescFile; readonly bytes: Uint8Array }>();

  #streams = 0;

  /** `services`: full names of those that this server has. */
  constructor(descriptors: Descriptors, services: readonly string[]) {
    this.#descriptors = descriptors;
    this.#services = [...services].sort();
    const bytes = bytesByFile(descriptors);
    const add = (file: DescFile) => {
      const name = file.proto.name;
      if (this.#files.has(name)) return;
      this.#files.set(name, { file, bytes: bytes.get(name) ?? new Uint8Array() });
      file.dependencies.forEach(add);
    };
    for (const name of services) {
      const service = descriptors.registry.getService(name);
      if (service) add(service.file);
    }
  }

  addTo(listener: GrpcListener): void {
    listener.add(ServerReflectionService, this.implementation);
  }

  readonly implementation: Implementation<ServerReflectionService> = {
    serverReflectionInfo: async (stream) => {
      if (this.#streams >= MOST_STREAMS) throw new ContractFault('contract.exhausted', 'too many are asking');
      this.#streams += 1;
      // Not when all is said, but when it has been read.
      void stream.closed.then(() => {
        this.#streams -= 1;
      });
      await this.#serve(stream);
    },
  };

  async #serve(stream: ByteStream): Promise<void> {
    for await (const bytes of stream) {
      const request = ServerReflectionRequest.decode(bytes);
      const response = { validHost: request.host, originalRequest: request, messageResponse: this.#answer(request) };
      if (!stream.write(ServerReflectionResponse.encode(response).finish())) await stream.drained();
    }
  }

  #answer({ messageRequest: asked }: ServerReflectionRequest): Answer {
    switch (asked?.$case) {
      case 'listServices': {
        const service = this.#services.map((name) => ({ name }));
        return { $case: 'listServicesResponse', value: { service } };
      }
      case 'fileByFilename':
        return this.#withImports(this.#files.get(asked.value)?.file);
      case 'fileContainingSymbol':
        return this.#withImports(this.#fileOf(asked.value));
      case 'fileContainingExtension': {
        const { containingType, extensionNumber } = asked.value;
        return this.#withImports(this.#extensionsOf(containingType).find((e) => e.number === extensionNumber)?.file);
      }
      case 'allExtensionNumbersOfType': {
        if (!this.#fileOf(asked.value)) return notFound();
        const extensionNumber = this.#extensionsOf(asked.value).map((extension) => extension.number);
        const value = { baseTypeName: asked.value, extensionNumber };
        return { $case: 'allExtensionNumbersResponse', value };
      }
      default:
        return { $case: 'errorResponse', value: { errorCode: Status.UNIMPLEMENTED, errorMessage: 'not known here' } };
    }
  }

  /** The file and all that it imports, directly or not; asking for them one by one is not needed. */
  #withImports(file: DescFile | undefined): Answer {
    if (!file || !this.#files.has(file.proto.name)) return notFound();
    const wanted = new Set<string>();
    const want = (at: DescFile) => {
      if (wanted.has(at.proto.name)) return;
      wanted.add(at.proto.name);
      at.dependencies.forEach(want);
    };
    want(file);
    const fileDescriptorProto = [...wanted].map((name) => this.#files.get(name)?.bytes ?? new Uint8Array());
    return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
  }

  /** The file that declares a message, an enum, a service, an extension, or a method, field or value of one. */
  #fileOf(symbol: string): DescFile | undefined {
    const { registry } = this.#descriptors;
    const found = registry.get(symbol);
    if (found) return found.file;
    const dot = symbol.lastIndexOf('.');
    const parent = dot < 0 ? undefined : registry.get(symbol.slice(0, dot));
    const name = symbol.slice(dot + 1);
    if (parent?.kind === 'service' && parent.methods.some((method) => method.name === name)) return parent.file;
    if (parent?.kind === 'message' && parent.members.some((member) => member.name === name)) return parent.file;
    return undefined;
  }

  #extensionsOf(type: string) {
    return [...this.#files.values()]
      .flatMap(({ file }) => file.extensions)
      .filter((extension) => extension.extendee.typeName === type);
  }
}

/** Reflection for a server that has every service of the contract. */
export function reflectionImplementation(descriptors: Descriptors): Reflection {
  return new Reflection(
    descriptors,
    descriptors.services().map(({ typeName }) => typeName),
  );
}

function notFound(): Answer {
  return { $case: 'errorResponse', value: { errorCode: Status.NOT_FOUND, errorMessage: 'not found' } };
}

/** Each file of the set as it stands there (FileDescriptorSet.file = 1, FileDescriptorProto.name = 1). */
function bytesByFile(descriptors: Descriptors): Map<string, Uint8Array> {
  const reader = new BinaryReader(descriptors.binary);
  const files: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 1) files.push(reader.bytes());
    else reader.skip(type);
  }
  return new Map(files.map((bytes, index) => [descriptors.set.file[index]?.name ?? '', bytes]));
}
