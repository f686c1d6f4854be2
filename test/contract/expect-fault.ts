// For the tests beside this file: the fault that something must fail with.
import { ContractFault } from '../../src/contract/fault.js';

export async function faultOf(failing: Promise<unknown>): Promise<ContractFault> {
  let outcome: unknown;
  try {
    outcome = await failing;
  } catch (thrown) {
    if (thrown instanceof ContractFault) return thrown;
    throw thrown;
  }
  throw new Error(`it did not fail, but gave ${JSON.stringify(outcome)}`);
}
