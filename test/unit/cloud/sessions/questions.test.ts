import { expect } from 'chai';
import { DigestRequest } from '../../../../gen/occmesh/link/v1/link.js';
import { Questions } from '../../../../src/cloud/sessions/questions.js';
import { settle } from '../../../support/fake-clock.js';

describe('sessions: questions for digests', () => {
  it('are answered in turn, keep nothing of the messages in which they came, and end with the session', async () => {
    const asked: DigestRequest[] = [];
    const answered: number[] = [];
    const failures: unknown[] = [];
    let release: () => void = () => undefined;
    const questions = new Questions({
      answer: async (request, signal) => {
        asked.push(request);
        await new Promise<void>((resolve, reject) => {
          release = resolve;
          signal.addEventListener('abort', () => reject(signal.reason));
        });
        return { log: request.log, range: request.range, digests: [] };
      },
      send: ({ range }) => answered.push(range?.first ?? -1),
      onFailure: (thrown) => failures.push(thrown),
    });
    const question = DigestRequest.encode({ log: Buffer.alloc(16, 1), range: { first: 0, count: 1 } }).finish();
    for (let first = 0; first < 3; first++) {
      const message = Buffer.concat([question, Buffer.alloc(100_000)]);
      const { log } = DigestRequest.decode(message.subarray(0, question.length));
      expect(log.buffer, 'control: what is decoded is a part of it').to.equal(message.buffer);
      questions.ask({ log, range: { first, count: 1 } });
    }
    for (let turn = 0; turn < 2; turn++) {
      await settle();
      expect(asked).to.have.length(turn + 1);
      release();
    }
    await settle();
    expect(answered).to.deep.equal([0, 1]);
    for (const { log } of asked) expect(log.buffer.byteLength).to.be.below(10_000);
    questions.end();
    await settle();
    expect([answered, failures]).to.deep.equal([[0, 1], []]);
  });

  it('that cannot be answered are told to the session, once', async () => {
    const failures: unknown[] = [];
    const questions = new Questions({
      answer: async () => {
        throw new Error('no');
      },
      send: () => undefined,
      onFailure: (thrown) => failures.push(thrown),
    });
    questions.ask(DigestRequest.fromPartial({ log: Buffer.alloc(16) }));
    await settle();
    expect(failures).to.have.length(1);
  });
});
