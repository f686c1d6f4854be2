// A process with services that ask one question after another, as fast as they are answered.
import { type ConnectOptions, connect } from '../../../src/client/index.js';
import { ContractFault } from '../../../src/contract/fault.js';
import { toError } from '../../../src/kernel/fault.js';
import { Scope } from '../../../src/kernel/scope.js';
import { serve } from '../program.js';

export interface Callers {
  readonly to: Pick<ConnectOptions, 'cloud' | 'ca' | 'token'>;
  /** Each with a connection of its own. */
  readonly count: number;
}

const scope = new Scope();
let answered = 0;
let failure: Error | undefined;

async function ask({ to }: Callers, signal: AbortSignal): Promise<void> {
  await using client = connect(to);
  while (!signal.aborted) {
    try {
      await client.readings.getLatest({}, { signal });
      answered += 1;
    } catch (thrown) {
      // It asks for more than it may, and goes on asking.
      if (!(thrown instanceof ContractFault && thrown.code === 'contract.exhausted')) throw thrown;
    }
  }
}

const abilities = {
  async start(callers: Callers): Promise<void> {
    for (let i = 0; i < callers.count; i++) {
      scope.run(
        (signal) => ask(callers, signal),
        (error) => {
          failure = toError(error);
        },
      );
    }
  },

  /** Resolves with how many questions were answered so far. */
  async answered(_: null): Promise<number> {
    if (failure) throw failure;
    return answered;
  },
};

export type CallerAbilities = typeof abilities;

serve(abilities, () => scope.stop());
