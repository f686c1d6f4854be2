// What a service of yours can do with the cloud: lists, readings, a change that may be repeated, and a stream that goes on
// where it ended. In a project of your own the import is 'occ-mesh/client'.
import { setTimeout as wait } from 'node:timers/promises';
import { ContractFault, type Event, every, MachineState, type MeshClient, State } from '../client/index.js';

export type Tell = (line: string) => void;

/** Every machine with what it says last. */
export async function overview(client: MeshClient, tell: Tell): Promise<void> {
  for await (const customer of every(client.customers.listCustomers, 'customers', {})) {
    tell(`customer ${customer.name}`);
    for await (const machine of every(client.machines.listMachines, 'machines', { customerId: customer.id })) {
      const readings = [];
      for await (const reading of every(client.readings.getLatest, 'readings', { machineId: machine.id })) {
        readings.push(reading);
      }
      const bad = readings.filter(({ state }) => state !== State.OK);
      tell(
        `  ${machine.name} is ${MachineState[machine.state]}, ${readings.length} sensors, ${bad.length} of them not well`,
      );
      for (const { sensor, state, message } of bad) tell(`    sensor ${sensor}: ${State[state]} ${message}`);
    }
  }
}

/** A new customer. The client gives the request an id, by which the cloud knows it again when it has to be repeated. */
export async function addCustomer(client: MeshClient, name: string): Promise<string | undefined> {
  try {
    const { id } = await client.customers.createCustomer({ name });
    return id;
  } catch (thrown) {
    if (thrown instanceof ContractFault && thrown.code === 'contract.already-exists') return undefined;
    throw thrown;
  }
}

/** Everything that happens, until the signal is aborted; over a lost connection no event is missed, and none comes twice. */
export async function* follow(client: MeshClient, signal: AbortSignal, pauseMs = 500): AsyncGenerator<Event> {
  let afterPosition: number | undefined;
  while (!signal.aborted) {
    try {
      for await (const { events, position } of client.events.watchEvents({ afterPosition }, { signal })) {
        yield* events;
        afterPosition = position;
      }
    } catch (thrown) {
      if (signal.aborted) return;
      // Away, or it asks for a moment; whatever else is wrong stays wrong.
      if (!(thrown instanceof ContractFault) || thrown.code !== 'contract.unavailable') throw thrown;
      await wait(thrown.retryAfter ?? pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
