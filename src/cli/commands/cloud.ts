// `occ cloud`.
import type { Command } from 'commander';
import { Cloud } from '../../cloud/cloud.js';
import { isMeshName } from '../../identity/spiffe.js';
import { defined } from '../../kernel/defined.js';
import { addRoleFlags, roleLog, roleValues } from '../config/role-config.js';
import { CLOUD_SETTINGS } from '../config/role-settings.js';
import { openDataDirectory } from '../data-directory.js';
import { CliFault } from '../fault.js';
import { openMeters } from '../metrics.js';
import { defaultDataDirectory } from '../places.js';
import { runRole } from '../run-role.js';
import { smtpSettings } from '../smtp-settings.js';
import type { Terminal } from '../terminal.js';
import { addCloudBackup } from './cloud-backup.js';

const LISTEN = { host: '::', port: 443 };

export function addCloud(program: Command, terminal: Terminal): void {
  const command = program.command('cloud').description('Run a cloud: the centre that everything reports to');
  addRoleFlags(command, CLOUD_SETTINGS, terminal);
  command.action(async () => {
    const values = await roleValues(command, CLOUD_SETTINGS);
    const { listen = LISTEN, mesh = 'mesh', names = [terminal.hostname, 'localhost', '127.0.0.1'] } = values;
    if (!isMeshName(mesh)) {
      throw new CliFault('cli.config', `"${mesh}" cannot be the name of a mesh`, {
        advice: 'Use lower-case letters, digits, dots, hyphens and underscores.',
      });
    }
    const smtp = await smtpSettings(values);
    const log = await roleLog('cloud', values, terminal);
    const options = {
      directory: values.data ?? defaultDataDirectory('cloud', terminal),
      ...listen,
      names,
      mesh,
      notify: defined({ privateWebhooks: values.privateWebhooks, smtp }),
      ...defined({
        publicAddress: values.public,
        certificateLifetime: values.certificateLifetime,
        heartbeat: values.heartbeat,
        retentionEvery: values.retentionEvery,
        openMetrics: values.openmetricsPort,
      }),
    };
    await runRole(terminal, log, async (scope) => {
      await openDataDirectory(options.directory);
      const { clock, random } = terminal;
      const measured = await openMeters(values.metricsPort, scope, log);
      scope.own(await Cloud.start(options, { clock, random, log, ...measured }));
    });
  });
  addCloudBackup(command, terminal);
}
