import { expect } from 'chai';
import { type Command, Outcome, Result } from '../../../../gen/occmesh/link/v1/link.js';
import { PendingCommands } from '../../../../src/cloud/sessions/commands.js';

describe('sessions: commands', () => {
  it('wait in bounded number for a hub that does not answer, and for one that does as before', async () => {
    const commands = new PendingCommands();
    const sent: Command[] = [];
    const run = () => commands.run({ $case: 'runSensor', value: { sensor: 1 } }, (command) => sent.push(command));
    const waiting = Array.from({ length: 64 }, run);
    for (let i = 0; i < 1_000; i++) expect((await run()).outcome).to.equal(Outcome.FAILED);
    expect(sent).to.have.length(64);
    commands.answer(Result.fromPartial({ commandId: sent[0]?.id ?? 0, outcome: Outcome.DONE }));
    expect((await waiting[0])?.outcome).to.equal(Outcome.DONE);
    const last = run();
    commands.end();
    expect((await last).outcome).to.equal(Outcome.UNKNOWN);
  });
});
