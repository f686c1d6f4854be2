// What the parts of a running cloud do because of one another: a failed write ends every session, a changed
// configuration is sent at once, a retired machine is cut off, a silent one is given up.
import { CloseCode } from '../../gen/occmesh/trunk/v1/trunk.js';
import { every } from '../kernel/clock.js';
import { type Duration, milliseconds, seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Scope } from '../kernel/scope.js';
import { ending } from '../link/pipe.js';
import type { Inventory } from './inventory/inventory.js';
import type { SessionPort } from './inventory/session-port.js';
import type { SessionServices } from './sessions/services.js';
import { recordRetired } from './sessions/tails.js';
import { hubKeyOf } from './telemetry/ledger.js';

const SWEEP = seconds(1);

export function react(
  services: SessionServices,
  inventory: Inventory,
  port: SessionPort,
  silentAfter: Duration,
  scope: Scope,
): void {
  const { clock, ledger, log, presence, sessions, store, trunks } = services;

  // What a failed write has taken away was told to nobody: whoever was on the way tries again on a new session.
  scope.defer(
    store.onReset(async () => {
      ledger.reset();
      const why = ending(CloseCode.INTERNAL, 'the cloud could not write; it has gone back to what is stored', 2_000);
      for (const session of sessions.all()) session.close(why);
    }),
  );

  scope.defer(
    port.onDesiredStateChanged((machineId) => {
      const session = sessions.of(machineId);
      if (session?.quarantined && inventory.machines.get(machineId)?.quarantined === undefined) {
        // Released. Its Welcome said otherwise, and only another one takes that back.
        session.close(ending(CloseCode.GOING_AWAY, 'the quarantine has ended'));
      } else session?.sendDesiredState(-1);
    }),
  );

  scope.defer(
    port.onRevoked((machineId) => {
      const why = ending(CloseCode.REFUSED, 'this machine has been retired');
      sessions.of(machineId)?.close(why);
      trunks.of(machineId)?.end(why);
      const machine = inventory.machines.get(machineId);
      if (machine?.role !== 'hub') return;
      recordRetired(services, hubKeyOf(machine)).catch((thrown) => {
        log.error({ hub: machineId, cause: describe(thrown) }, 'what a retired machine still owed is not on record');
      });
    }),
  );

  scope.defer(
    port.onReplaced((machineId) => {
      const why = ending(CloseCode.REFUSED, 'this machine has enrolled anew, with other keys');
      sessions.of(machineId)?.close(why);
      trunks.of(machineId)?.end(why);
    }),
  );

  const sweep = every(clock, SWEEP, () => {
    const silent = milliseconds(clock.monotonic() - silentAfter);
    for (const session of sessions.all()) session.endIfSilentSince(silent);
    presence.sweep();
  });
  scope.defer(() => sweep.disarm());
}
