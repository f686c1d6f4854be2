// What standard tools ask of every server: its health, and what it is made of.
import { once } from 'node:events';
import { connect } from 'node:http2';
import { createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import { type FileDescriptorProto, FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { status as Status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { HealthService as HealthDefinition } from '../../gen/grpc/health/v1/health.js';
import {
  ServerReflectionRequest,
  ServerReflectionResponse,
  ServerReflectionService,
} from '../../gen/grpc/reflection/v1/reflection.js';
import type { GrpcChannel } from '../../src/contract/channel.js';
import { loadDescriptors } from '../../src/contract/descriptors.js';
import { HealthService, ServingStatus } from '../../src/contract/health.js';
import { Reflection } from '../../src/contract/reflection.js';
import { Edge } from './edge.js';
import { faultOf } from './expect-fault.js';

const LINK = 'occmesh.link.v1.LinkService';
const SERVICES = [LINK, 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection'];

type Asked = NonNullable<ServerReflectionRequest['messageRequest']>;

async function reflectionEdge(): Promise<Edge> {
  const edge = await Edge.make();
  new Reflection(loadDescriptors(), SERVICES).addTo(edge.listener);
  await edge.listener.start();
  return edge;
}

/** Asks everything on one stream, and gets the answers in order. */
async function ask(channel: GrpcChannel, questions: readonly Asked[]): Promise<ServerReflectionResponse[]> {
  const stream = channel.byteStream(ServerReflectionService.serverReflectionInfo);
  for (const messageRequest of questions) {
    stream.write(ServerReflectionRequest.encode({ host: 'h', messageRequest }).finish());
  }
  stream.end();
  const answers: ServerReflectionResponse[] = [];
  for await (const bytes of stream) answers.push(ServerReflectionResponse.decode(bytes));
  expect(await stream.closed).to.equal(undefined);
  return answers;
}

function filesIn({ messageResponse }: ServerReflectionResponse): FileDescriptorProto[] {
  if (messageResponse?.$case !== 'fileDescriptorResponse') throw new Error(JSON.stringify(messageResponse));
  return messageResponse.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

describe('reflection', () => {
  it('is for a few at once: whoever does not read keeps its answers in memory', async () => {
    await using edge = await reflectionEdge();
    const channel = edge.channel();
    const [question]: Asked[] = [{ $case: 'listServices', value: '' }];
    const open = async () => {
      const stream = channel.byteStream(ServerReflectionService.serverReflectionInfo);
      stream.write(ServerReflectionRequest.encode({ host: '', messageRequest: question }).finish());
      const { value } = await stream[Symbol.asyncIterator]().next();
      expect(value?.length).to.be.greaterThan(0);
      return stream;
    };
    // One who has asked, has nothing more to say, and takes not a byte of the answer.
    const settings = { initialWindowSize: 0 };
    const ca = edge.pki.authority.ca;
    const session = connect(`https://127.0.0.1:${edge.port}`, { ca, settings, checkServerIdentity: () => undefined });
    edge.scope.defer(async () => session.destroy());
    const message = ServerReflectionRequest.encode({ host: '', messageRequest: question }).finish();
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    const silent = session.request({
      ...{ ':method': 'POST', ':path': ServerReflectionService.serverReflectionInfo.path },
      ...{ 'content-type': 'application/grpc', te: 'trailers' },
    });
    silent.end(Buffer.concat([head, message]));
    await once(silent, 'response');
    const streams = await Promise.all(Array.from({ length: 31 }, open));
    expect((await faultOf(open())).code).to.equal('contract.exhausted');
    streams[0]?.end();
    await streams[0]?.closed;
    await open();
  });

  it('lists the services of this server', async () => {
    await using edge = await reflectionEdge();
    const [answer] = await ask(edge.channel(), [{ $case: 'listServices', value: '' }]);
    const listed = answer?.messageResponse;
    expect(listed?.$case === 'listServicesResponse' && listed.value.service.map(({ name }) => name)).to.deep.equal(
      [...SERVICES].sort(),
    );
    expect(answer).to.include({ validHost: 'h' });
    expect(answer?.originalRequest?.host).to.equal('h');
  });

  it('gives files from which a tool can build everything, with our options', async () => {
    await using edge = await reflectionEdge();
    const questions: Asked[] = [
      { $case: 'fileContainingSymbol', value: LINK },
      { $case: 'fileContainingSymbol', value: `${LINK}.Link` },
      { $case: 'fileContainingSymbol', value: 'occmesh.link.v1.Envelope' },
      { $case: 'fileContainingSymbol', value: 'occmesh.link.v1.Envelope.lane' },
      { $case: 'fileByFilename', value: 'occmesh/link/v1/link.proto' },
    ];
    for (const answer of await ask(edge.channel(), questions)) {
      const files = filesIn(answer);
      expect(files[0]?.name).to.equal('occmesh/link/v1/link.proto');
      const [first] = files;
      if (!first) throw new Error('no file');
      const registry = createFileRegistry(first, (name) => files.find((file) => file.name === name));
      expect(registry.getService(LINK)?.methods.map(({ name }) => name)).to.deep.equal(['Link']);
      const [method] = files[0]?.service[0]?.method ?? [];
      expect(method?.options?.$unknown, 'the access rule travels').to.have.length(1);
    }
  });

  it('gives of every service of the contract files that are complete with all imports, and so is its health', async () => {
    const edge = await Edge.make();
    await using _ = edge;
    const all = loadDescriptors().services();
    const names = all.map(({ typeName }) => typeName);
    new Reflection(loadDescriptors(), names).addTo(edge.listener);
    new HealthService(names).addTo(edge.listener);
    await edge.listener.start();
    const channel = edge.channel();
    const answers = await ask(
      channel,
      names.map((value) => ({ $case: 'fileContainingSymbol', value })),
    );
    expect(answers.length).to.be.greaterThan(10);
    for (const [i, answer] of answers.entries()) {
      const files = filesIn(answer);
      const there = new Set(files.map(({ name }) => name));
      const missing = files.flatMap(({ dependency }) => dependency).filter((name) => !there.has(name));
      expect(missing, names[i]).to.deep.equal([]);
      const service = files[0]?.service.find(({ name }) => `${files[0]?.package}.${name}` === names[i]);
      expect(service?.method.map(({ name }) => name)).to.deep.equal(all[i]?.methods.map(({ name }) => name));
      const health = await channel.unary(HealthDefinition.check, { service: names[i] ?? '' });
      expect(health.status, names[i]).to.equal(ServingStatus.SERVING);
    }
  });

  it('knows extensions', async () => {
    await using edge = await reflectionEdge();
    const containingType = 'google.protobuf.MethodOptions';
    const [file, numbers] = await ask(edge.channel(), [
      { $case: 'fileContainingExtension', value: { containingType, extensionNumber: 50501 } },
      { $case: 'allExtensionNumbersOfType', value: containingType },
    ]);
    expect(file && filesIn(file)[0]?.name).to.equal('occmesh/access/v1/access.proto');
    const value = numbers?.messageResponse?.value;
    expect(value).to.deep.equal({ baseTypeName: containingType, extensionNumber: [50501] });
  });

  it('says that there is no such thing, and goes on; how the cloud stores is no such thing', async () => {
    await using edge = await reflectionEdge();
    const answers = await ask(edge.channel(), [
      { $case: 'fileByFilename', value: 'nothing.proto' },
      { $case: 'fileByFilename', value: 'occmesh/store/v1/store.proto' },
      { $case: 'fileContainingSymbol', value: 'occmesh.inventory.v1.Customer' },
      { $case: 'fileContainingSymbol', value: 'x' },
      { $case: 'fileContainingExtension', value: { containingType: 'x', extensionNumber: 1 } },
      { $case: 'allExtensionNumbersOfType', value: 'x' },
    ]);
    expect(answers).to.have.length(6);
    for (const { messageResponse } of answers) {
      expect(messageResponse?.$case === 'errorResponse' && messageResponse.value.errorCode).to.equal(Status.NOT_FOUND);
    }
  });
});

describe('health', () => {
  const healthEdge = async (health: HealthService): Promise<Edge> => {
    const edge = await Edge.make();
    health.addTo(edge.listener);
    await edge.listener.start();
    return edge;
  };

  it('answers anybody', async () => {
    const health = new HealthService([LINK]);
    await using edge = await healthEdge(health);
    const channel = edge.channel();
    const status = async (service: string) => (await channel.unary(HealthDefinition.check, { service })).status;
    expect(await status('')).to.equal(ServingStatus.SERVING);
    health.set(LINK, ServingStatus.NOT_SERVING);
    expect(await status(LINK)).to.equal(ServingStatus.NOT_SERVING);
    expect((await faultOf(status('nothing'))).code).to.equal('contract.not-found');
  });

  it('tells changes, also of services that are not there yet, and ends with the caller', async () => {
    const health = new HealthService();
    await using edge = await healthEdge(health);
    const seen: ServingStatus[] = [];
    for await (const { status } of edge.channel().serverStream(HealthDefinition.watch, { service: LINK })) {
      seen.push(status);
      if (seen.length === 1) health.set(LINK, ServingStatus.SERVING);
      if (seen.length === 2) health.shutDown();
      if (seen.length === 3) break;
    }
    expect(seen).to.deep.equal([ServingStatus.SERVICE_UNKNOWN, ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  });
});
