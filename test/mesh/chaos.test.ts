// kill -9 of cloud, connector and hubs in turn, under load: nothing that a hub reported durable is lost, doubled or
// altered. CHAOS_ROUNDS changes how often, TEST_SEED repeats a run's choices (not its timing).
//
// Found so far: nothing.
import { stat } from 'node:fs/promises';
import { expect } from 'chai';
import type { HubProcess } from '../../src/demo/mesh.js';
import type { RoleProcess } from '../../src/demo/processes.js';
import { sleep, systemClock } from '../../src/kernel/clock.js';
import { milliseconds } from '../../src/kernel/duration.js';
import { flaws, PERFECT, RoughMesh } from '../support/rough-mesh.js';
import { testSeed } from '../support/seeded-random.js';

const ROUNDS = Number(process.env.CHAOS_ROUNDS ?? 100);

describe('killed at any moment', function () {
  this.timeout(60_000 + ROUNDS * 2_000);

  it(`loses and doubles nothing in ${ROUNDS} kills of cloud, connector and hubs in turn (TEST_SEED=${testSeed})`, async () => {
    await using rough = await RoughMesh.start({ hubs: 3, sensors: 40 });
    const { mesh, random } = rough;
    const restarts: Promise<void>[] = [];
    let written = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const hub = rough.hubs[Math.floor(random.uniform() * rough.hubs.length)] as HubProcess;
      const victim = [mesh.cloud, mesh.connector, hub.process][round % 3] as RoleProcess;
      await rough.pause(milliseconds(700));
      // Half of the time right after a hub has reported something durable: before it is acknowledged, or just then.
      if (random.uniform() < 0.5 && (await growth(hub.journal))) written += 1;
      await victim.kill();
      restarts.push(
        rough.pause(milliseconds(400)).then(() => {
          if (!victim.running) victim.start();
        }),
      );
    }
    await Promise.all(restarts);
    const verdict = await rough.settled();
    expect(flaws(verdict)).to.deep.equal(PERFECT);
    expect(verdict.durable).to.be.greaterThan(ROUNDS * 20);
    expect(written, 'kills right after a write').to.be.greaterThan(0);
    rough.passed();
  });
});

/** Resolves at once when the file grows; false when it does not for half a second. */
async function growth(file: string): Promise<boolean> {
  const { size } = await stat(file);
  for (const until = systemClock.monotonic() + 500; systemClock.monotonic() < until; ) {
    if ((await stat(file)).size > size) return true;
    await sleep(systemClock, milliseconds(2));
  }
  return false;
}
