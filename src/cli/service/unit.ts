// The systemd unit of a role: what it runs as, and all that it may not do. systemd.exec(5), systemd.service(5)

import { usage } from '../fault.js';
import type { RoleName } from '../places.js';

export interface UnitOptions {
  readonly role: RoleName;
  /** Node and the program's first file, absolute. */
  readonly program: readonly string[];
  readonly user: string;
  /** Absolute. */
  readonly data: string;
  readonly config?: string;
  readonly tokenFile?: string;
  /** Groups of this machine that may read its logs. */
  readonly logGroups: readonly string[];
}

export const unitName = (role: RoleName): string => `occ-${role}.service`;

const DESCRIPTIONS: { readonly [R in RoleName]: string } = {
  cloud: 'occ-mesh cloud: the centre that everything reports to',
  connector: "occ-mesh connector: the carrier of this network, and this machine's sensors",
  hub: "occ-mesh hub: this machine's sensors",
};

/** systemd makes this one itself, and gives it to the service's user. */
const STATE = '/var/lib/';

export function unitText(options: UnitOptions): string {
  const { role, user, data } = options;
  const own = data.startsWith(STATE)
    ? [`StateDirectory=${word(data.slice(STATE.length))}`, 'StateDirectoryMode=0700']
    : [`ReadWritePaths=${word(data)}`];
  return section([
    `# Written by "occ service install ${role}", and again by the next one: what is to be different belongs into`,
    `# "systemctl edit ${unitName(role)}".`,
    '[Unit]',
    `Description=${DESCRIPTIONS[role]}`,
    'Wants=network-online.target',
    'After=network-online.target',
    'StartLimitIntervalSec=0',
    '',
    '[Service]',
    'Type=exec',
    `ExecStart=${commandOf(options).map(argument).join(' ')}`,
    'Restart=always',
    'RestartSec=5',
    '# A command line or a configuration that makes no sense does not get better by trying again.',
    'RestartPreventExitStatus=2 3',
    'TimeoutStopSec=30',
    `User=${user}`,
    `Group=${user}`,
    'UMask=0077',
    ...own,
    '',
    ...rightsOf(options),
    '',
    '# The file system is read-only but for the data. MemoryDenyWriteExecute is left out: JavaScript is compiled while it runs.',
    'ProtectSystem=strict',
    ...homeOf(options),
    'PrivateTmp=yes',
    'PrivateDevices=yes',
    'ProtectClock=yes',
    'ProtectControlGroups=yes',
    'ProtectHostname=yes',
    'ProtectKernelLogs=yes',
    'ProtectKernelModules=yes',
    'ProtectKernelTunables=yes',
    'NoNewPrivileges=yes',
    'LockPersonality=yes',
    'RemoveIPC=yes',
    'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
    'RestrictNamespaces=yes',
    'RestrictRealtime=yes',
    'RestrictSUIDSGID=yes',
    'SystemCallArchitectures=native',
    'SystemCallFilter=@system-service',
    'SystemCallErrorNumber=EPERM',
    'LimitNOFILE=65536',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
  ]);
}

const section = (lines: readonly string[]): string => `${lines.join('\n')}\n`;

function commandOf({ program, role, data, config, tokenFile }: UnitOptions): string[] {
  return [
    ...program,
    ...[role, '--data', data, '--log-format', 'json'],
    ...(config === undefined ? [] : ['--config', config]),
    ...(tokenFile === undefined ? [] : ['--token-file', tokenFile]),
  ];
}

/** What it may do that others may not: listen on 443, or ping and read logs. */
function rightsOf({ role, logGroups }: UnitOptions): string[] {
  if (role === 'cloud') {
    return [
      '# For port 443.',
      'AmbientCapabilities=CAP_NET_BIND_SERVICE',
      'CapabilityBoundingSet=CAP_NET_BIND_SERVICE',
    ];
  }
  return [
    '# For ping sensors: NoNewPrivileges takes from the ping program what its file would give it.',
    'AmbientCapabilities=CAP_NET_RAW',
    'CapabilityBoundingSet=CAP_NET_RAW',
    ...(logGroups.length === 0 ? [] : ['# For log sensors.', `SupplementaryGroups=${logGroups.join(' ')}`]),
  ];
}

/** A hub measures all disks, homes among them; nobody reads a program in a home that is hidden. */
function homeOf({ role, program }: UnitOptions): string[] {
  const atHome = program.some((path) => /^\/(?:home|root|run\/user)\//.test(path));
  return [`ProtectHome=${role === 'cloud' && !atHome ? 'yes' : 'read-only'}`];
}

/** An argument of a command line: systemd.service(5). There, dollars are variables. */
const argument = (text: string): string => word(text.replaceAll('$', '$$$$'));

/** One word of a list. Percent signs are specifiers everywhere in a unit: systemd.syntax(7). */
function word(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: those are meant
  if (/[\u0000-\u001f\u007f]/.test(text)) throw usage('a path with control characters cannot stand in a unit');
  const escaped = text.replaceAll('%', '%%');
  return /^[\w@%+=:,./$-]+$/.test(text) ? escaped : `"${escaped.replaceAll(/["\\]/g, '\\$&')}"`;
}
