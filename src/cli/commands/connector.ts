// `occ connector`: the carrier of a customer's network, and the hub for the sensors of its own machine.
import { join } from 'node:path';
import type { Command } from 'commander';
import { Connector } from '../../connector/connector.js';
import { formatAddress } from '../../discovery/hint.js';
import { Hub } from '../../hub/hub.js';
import { addRoleFlags, roleLog, roleValues } from '../config/role-config.js';
import { CONNECTOR_SETTINGS } from '../config/role-settings.js';
import { holdDataDirectory, openDataDirectory } from '../data-directory.js';
import { becomeMember, discoveryOf, hubOptionsOf } from '../member.js';
import { openMeters } from '../metrics.js';
import { defaultDataDirectory } from '../places.js';
import { runRole } from '../run-role.js';
import type { Terminal } from '../terminal.js';

const LISTEN = { host: '0.0.0.0', port: 11_000 };

/** Where the embedded hub finds its connector. */
function ownAddress(host: string, port: number): string {
  const everywhere = host === '0.0.0.0' || host === '::';
  return formatAddress({ host: everywhere ? '127.0.0.1' : host, port });
}

export function addConnector(program: Command, terminal: Terminal): void {
  const command = program.command('connector').description("Run a connector: the carrier of a customer's network");
  addRoleFlags(command, CONNECTOR_SETTINGS, terminal);
  command.action(async () => {
    const values = await roleValues(command, CONNECTOR_SETTINGS);
    const log = await roleLog('connector', values, terminal);
    const data = values.data ?? defaultDataDirectory('connector', terminal);
    const directories = { connector: join(data, 'connector'), hub: join(data, 'hub') };
    const { clock, random } = terminal;
    await runRole(terminal, log, async (scope) => {
      await openDataDirectory(data);
      // Otherwise a second process would take over the trunk before it finds the store of its hub taken.
      await holdDataDirectory(data, scope);
      const measured = await openMeters(values.metricsPort, scope, log);
      const plan = { directories, connectors: [], multicast: false, directAllowed: true };
      const way = await becomeMember(plan, values, terminal, log);
      const { host, port } = values.listen ?? LISTEN;
      const connector = scope.own(
        await Connector.start(
          { directory: directories.connector, host, port, ...discoveryOf(values), ...way },
          { clock, random, log, ...measured },
        ),
      );
      const options = {
        directory: directories.hub,
        connectors: [ownAddress(host, connector.address.port)],
        directAllowed: true,
        multicast: false,
        ...way,
        ...(await hubOptionsOf(values)),
      };
      scope.own(await Hub.start(options, { clock, random, log: await roleLog('hub', values, terminal), ...measured }));
    });
  });
}
