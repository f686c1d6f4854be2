// Errors as they arrive at somebody else's client: canonical codes with google.rpc details, which are read here by an
// implementation that is not the one that writes them.
import { fromBinary, type Message, toJson } from '@bufbuild/protobuf';
import { AnySchema, anyUnpack } from '@bufbuild/protobuf/wkt';
import type { ServiceError } from '@grpc/grpc-js';
import { expect } from 'chai';
import { HealthClient, HealthService } from '../../gen/grpc/health/v1/health.js';
import { loadDescriptors } from '../../src/contract/descriptors.js';
import { ApiFault, ContractFault } from '../../src/contract/fault.js';
import { invalid, STATUS_TABLE } from '../../src/contract/status.js';
import { seconds } from '../../src/kernel/duration.js';
import { Fault } from '../../src/kernel/fault.js';
import { Edge } from './edge.js';
import { faultOf } from './expect-fault.js';

class AnyFault extends Fault<string> {}

const { registry } = loadDescriptors();

/** An edge whose health check fails in every way: the service asked for is what to throw. */
async function failing(faults: ReadonlyMap<string, unknown>): Promise<Edge> {
  const edge = await Edge.make();
  edge.listener.add(HealthService, {
    check: async ({ service }) => {
      throw faults.get(service);
    },
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    watch: async function* ({ service }) {
      throw faults.get(service);
    },
  });
  await edge.listener.start();
  return edge;
}

const errorOf = (edge: Edge, service: string): Promise<ServiceError> =>
  new Promise((resolve, reject) => {
    edge
      .channel()
      .client(HealthClient)
      .check({ service }, (error) => (error ? resolve(error) : reject(new Error('it did not fail'))));
  });

/** The details by their names, as JSON. */
function detailsOf(error: ServiceError): Record<string, unknown> {
  const schema = registry.getMessage('google.rpc.Status');
  const [bytes] = error.metadata.get('grpc-status-details-bin');
  if (!schema || !Buffer.isBuffer(bytes)) throw new Error('there are no details');
  const status = fromBinary(schema, bytes) as Message & { code: number; message: string; details: unknown[] };
  expect(status).to.include({ code: error.code, message: error.details });
  return Object.fromEntries(
    status.details.map((detail) => {
      const any = detail as Message<'google.protobuf.Any'> & { typeUrl: string; value: Uint8Array };
      expect(any.$typeName).to.equal(AnySchema.typeName);
      const unpacked = anyUnpack(any, registry);
      const desc = unpacked && registry.getMessage(unpacked.$typeName);
      if (!unpacked || !desc) throw new Error(`${any.typeUrl} cannot be read`);
      return [unpacked.$typeName, toJson(desc, unpacked)];
    }),
  );
}

describe('an error', () => {
  it('of every code of the table arrives with its reason', async () => {
    const codes = Object.keys(STATUS_TABLE);
    expect(codes).to.have.length.greaterThan(30);
    await using edge = await failing(new Map(codes.map((code) => [code, new AnyFault(code, 'words')])));
    for (const code of codes) {
      const error = await errorOf(edge, code);
      const reason = code.toUpperCase().replace(/[.-]/g, '_');
      expect(reason).to.match(/^[A-Z][A-Z_]+[A-Z]$/);
      expect(error.code, code).to.equal(STATUS_TABLE[code]);
      expect(detailsOf(error), code).to.deep.equal({ 'google.rpc.ErrorInfo': { reason, domain: 'occ-mesh' } });
    }
  });

  it('says which field is wrong, what to do, and when to come back', async () => {
    const busy = new ApiFault('api.exhausted', 'too often', { advice: 'Wait.', retryAfter: seconds(90) });
    const faults = new Map<string, unknown>([
      ['field', invalid('thresholds[0].metric', 'is not measured')],
      ['busy', busy],
    ]);
    await using edge = await failing(faults);
    expect(detailsOf(await errorOf(edge, 'field'))['google.rpc.BadRequest']).to.deep.equal({
      fieldViolations: [{ field: 'thresholds[0].metric', description: 'is not measured' }],
    });
    expect(detailsOf(await errorOf(edge, 'busy'))).to.deep.equal({
      'google.rpc.ErrorInfo': { reason: 'API_EXHAUSTED', domain: 'occ-mesh', metadata: { advice: 'Wait.' } },
      'google.rpc.RetryInfo': { retryDelay: '90s' },
    });
    const check = (service: string) => faultOf(edge.channel().unary(HealthService.check, { service }));
    expect((await check('field')).fields).to.deep.equal([
      { field: 'thresholds[0].metric', problem: 'is not measured' },
    ]);
    expect(await check('busy')).to.include({ reason: 'API_EXHAUSTED', retryAfter: seconds(90) });
    expect((await check('busy')).fields).to.deep.equal([]);
  });

  it('of which nothing may be told tells nothing in its details, but an incident', async () => {
    const canary = 'canary-4711';
    const cause = new Error(canary);
    const faults = new Map<string, unknown>([
      ['bug', new TypeError(canary, { cause })],
      ['full', new AnyFault('storage.write-failed', canary, { cause, advice: canary, field: canary })],
      ['other', new AnyFault('wal.odd', canary, { advice: canary, field: canary })],
      ['internal', new ContractFault('contract.internal', canary, { reason: canary, retryAfter: seconds(9) })],
    ]);
    await using edge = await failing(faults);
    for (const service of faults.keys()) {
      const error = await errorOf(edge, service);
      const details = detailsOf(error);
      expect(Object.keys(details), service).to.deep.equal(['google.rpc.ErrorInfo']);
      const { incident } = (details['google.rpc.ErrorInfo'] as { metadata: { incident: string } }).metadata;
      expect(incident).to.match(/^[0-9a-f]{10}$/);
      expect(error.details).to.contain(incident);
      const everything = error.metadata.toJSON();
      for (const bytes of error.metadata.get('grpc-status-details-bin')) expect(String(bytes)).to.not.contain(canary);
      expect(JSON.stringify([error.details, everything])).to.not.contain(canary);
    }
  });

  it('fits into 8 KiB of trailers, however much there is to say, and arrives', async () => {
    const much = '漢\u0001%'.repeat(10_000);
    const fault = new ApiFault('api.invalid', much, {
      field: much,
      advice: much,
      reason: much,
      retryAfter: seconds(1),
    });
    await using edge = await failing(new Map([['much', fault]]));
    const error = await errorOf(edge, 'much');
    expect(error.details).to.contain('漢');
    expect(Object.keys(detailsOf(error))).to.have.length(3);
    const [bytes] = error.metadata.get('grpc-status-details-bin');
    const size = encodeURIComponent(error.details).length + Buffer.from(bytes ?? '').toString('base64').length;
    expect(size).to.be.greaterThan(3_000).and.lessThan(7_500);
  });
});
