// Why a session ends, from one side's fault to what the other side knows: through a gRPC status, and through a trunk.
import { status as Status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import { fromStatus, StatusTranslator } from '../../../src/contract/status.js';
import { seconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { systemRandom } from '../../../src/kernel/random.js';
import { endingOf, LinkFault } from '../../../src/link/fault.js';
import { ending } from '../../../src/link/pipe.js';
import { endingOfFault, faultOfEnding } from '../../../src/link/stream-pipe.js';

describe('the end of a session', () => {
  const travel = (thrown: unknown) => {
    const translator = new StatusTranslator({ log: silentLogger, random: systemRandom });
    const status = translator.toStatus(faultOfEnding(endingOf(thrown)));
    const fault = fromStatus({ ...status, metadata: status.metadata ?? null } as never, { address: 'cloud:443' });
    return { status, why: endingOfFault(fault) };
  };

  it('by a budget that is used up is RESOURCE_EXHAUSTED, with the time to wait', () => {
    const { status, why } = travel(
      new LinkFault('link.exhausted', 'too many sessions', { retryAfter: seconds(1.2345) }),
    );
    expect(status.code).to.equal(Status.RESOURCE_EXHAUSTED);
    expect(why).to.deep.equal({ code: CloseCode.EXHAUSTED, message: 'too many sessions', retryAfterMs: 1_235 });
  });

  it('for another reason asks nobody to wait', () => {
    const { status, why } = travel(new LinkFault('link.superseded', 'a newer one'));
    expect(status.code).to.equal(Status.ABORTED);
    expect(why).to.deep.equal({ code: CloseCode.SUPERSEDED, message: 'a newer one', retryAfterMs: 0 });
  });

  it('by what nobody has thought of tells nothing of it', () => {
    const { why } = travel(new Error('password: 1234'));
    expect(why.code).to.equal(CloseCode.INTERNAL);
    expect(JSON.stringify(why)).to.not.contain('1234');
    const full = endingOfFault(faultOfEnding(ending(CloseCode.INTERNAL, 'the store is full', 5_000)));
    expect(full).to.deep.equal({ code: CloseCode.INTERNAL, message: 'the store is full', retryAfterMs: 5_000 });
  });
});
