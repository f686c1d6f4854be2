// What happens once when a cloud starts: after a restore, remembering what machines were like, and leaving the first
// operator what is needed to log in.
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { writeFileDurably, writeSecretFile } from '../identity/key-file.js';
import { uuidText } from '../identity/uuid.js';
import { epochMs } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import type { Logger } from '../kernel/log.js';
import type { Scope } from '../kernel/scope.js';
import { RESTORED } from './backup/restore.js';
import { cloudPaths } from './cloud-files.js';
import type { Inventory } from './inventory/inventory.js';
import type { SessionServices } from './sessions/services.js';
import { sessionRecordsOf } from './sessions/session-record.js';
import type { SensorStates } from './states/sensor-states.js';
import type { LatestReadings } from './telemetry/latest.js';
import { hubKeyOf } from './telemetry/ledger.js';

/** More changes than a hub can have seen between a backup and its restore. */
const RESTORE_MARGIN = 100_000;

/**
 * The first start after a restore: hubs may have seen later desired states than this store knows. Their versions go on
 * well above, before any hub is heard from, so that no version and no sensor number ever means two things.
 */
export async function afterRestore(directory: string, inventory: Inventory, log: Logger): Promise<void> {
  const marker = join(directory, RESTORED);
  const since = await readFile(marker, 'utf8').catch(() => undefined);
  if (since === undefined) return;
  await inventory.reports.raiseAllConfigVersions(RESTORE_MARGIN);
  await rm(marker);
  log.warn({ since: since.trim() }, 'this cloud was restored: hubs send again what it does not hold');
}

/** What machines were like, and, in the background, the latest reading of every sensor. */
export async function recall(
  inventory: Inventory,
  services: SessionServices,
  { latest, states }: { latest: LatestReadings; states: SensorStates },
  scope: Scope,
): Promise<void> {
  for (const customerId of inventory.customers.ids()) {
    for await (const [id, { lastSeenMs, shutDown, connectorId }] of sessionRecordsOf(services.store, customerId)) {
      const machine = inventory.machines.get(id);
      if (lastSeenMs === 0 || !machine || machine.retiredAtMs !== undefined) continue;
      const connector = connectorId.length === 0 ? '' : uuidText(connectorId);
      services.presence.expect(id, { lastSeen: epochMs(lastSeenMs), shutDown, connectorId: connector });
    }
  }
  const hubs = [...inventory.machines.all()].filter(
    ({ role, retiredAtMs }) => role === 'hub' && retiredAtMs === undefined,
  );
  scope.run(
    async (signal) => {
      for (const machine of hubs) {
        if (signal.aborted) return;
        const key = hubKeyOf(machine);
        const sensors = new Set([...inventory.sensors.of(machine.id)].map(({ number }) => number));
        // What comes in meanwhile is later, and stays.
        await latest.load(key, services.store, sensors);
        for (const { reading } of latest.of(key)) states.recall(machine.id, reading);
      }
    },
    (error) => services.log.error({ cause: describe(error) }, 'latest readings could not be read back'),
  );
}

/** What the first operator needs to log in from this machine. */
export async function writeOperatorFiles(
  directory: string,
  inventory: Inventory,
  cloud: string,
  log: Logger,
): Promise<void> {
  const paths = cloudPaths(directory);
  const isFirst = await inventory.tokens.ensureOperator((text) => writeSecretFile(paths.operatorToken, `${text}\n`));
  await writeFileDurably(paths.client, stringify({ cloud, ca: 'ca/ca.crt', tokenFile: 'operator.token' }), 0o644);
  if (isFirst)
    log.info({ client: paths.client }, "made the first operator's token; occ status --client with this file");
}
