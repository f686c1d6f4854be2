// A deadline that the caller has stated is the server's to keep: also where the caller says nothing more, whatever is done
// for the call ends, and the caller is told.
import { once } from 'node:events';
import { connect } from 'node:http2';
import { expect } from 'chai';
import { HealthService } from '../../gen/grpc/health/v1/health.js';
import { aborted, type CallContext } from '../../src/contract/handlers.js';
import { Edge } from './edge.js';

/** An edge whose calls never end by themselves, and the signal of each. */
async function hanging(): Promise<{ edge: Edge; calls: CallContext[] }> {
  const calls: CallContext[] = [];
  const edge = await Edge.make();
  edge.listener.add(HealthService, {
    check: (_, context) => {
      calls.push(context);
      return aborted(context.signal);
    },
    watch: async function* (_, context) {
      calls.push(context);
      yield { status: 1 };
      await aborted(context.signal);
    },
  });
  await edge.listener.start();
  return { edge, calls };
}

/** A caller by hand, who states a deadline and then only listens: resolves with the status. */
async function call(edge: Edge, method: string, timeout: string | undefined): Promise<string | undefined> {
  const session = connect(`https://127.0.0.1:${edge.port}`, {
    ca: edge.pki.authority.ca,
    checkServerIdentity: () => undefined,
  });
  edge.scope.defer(async () => session.destroy());
  const stated = timeout === undefined ? {} : { 'grpc-timeout': timeout };
  const stream = session.request({
    ...{ ':method': 'POST', ':path': `/grpc.health.v1.Health/${method}` },
    ...{ 'content-type': 'application/grpc', te: 'trailers', ...stated },
  });
  let status: string | undefined;
  for (const event of ['response', 'trailers'])
    stream.on(event, (headers) => {
      status = headers['grpc-status'] ?? status;
    });
  stream.on('error', () => {});
  stream.resume();
  stream.end(Buffer.alloc(5));
  await once(stream, 'close');
  return status;
}

const DEADLINE_EXCEEDED = '4';

describe('deadlines', () => {
  for (const method of ['Check', 'Watch']) {
    it(`end what is done for the call, and tell the caller (${method})`, async () => {
      const { edge, calls } = await hanging();
      await using _ = edge;
      expect(await call(edge, method, '50m')).to.equal(DEADLINE_EXCEEDED);
      const [context] = calls;
      expect(context?.signal.aborted).to.equal(true);
      expect(context?.deadline).to.be.a('number');
    });
  }

  it('that are not stated do not end anything (negative control)', async () => {
    const { edge, calls } = await hanging();
    await using _ = edge;
    const forever = call(edge, 'Check', undefined);
    expect(await call(edge, 'Check', '50m')).to.equal(DEADLINE_EXCEEDED);
    expect(calls.map(({ signal }) => signal.aborted)).to.deep.equal([false, true]);
    expect(calls[0]?.deadline).to.equal(undefined);
    await edge.listener.stop();
    await forever;
    expect(calls[0]?.signal.aborted).to.equal(true);
  });
});
