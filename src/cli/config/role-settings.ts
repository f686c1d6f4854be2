// What can be set for each role. Keys are those of the configuration file; flags override them.
import { SMTP_TLS } from '../../cloud/notify/email.js';
import { LOG_LEVELS } from '../../kernel/log.js';
import { LOG_DIRECTORIES } from '../../sensors/watched-path.js';
import {
  address,
  anyText,
  duration,
  listening,
  listeningHere,
  namedCommand,
  oneOf,
  path,
  pathOrStdin,
  size,
  wholeNumber,
} from '../values.js';
import { many, one, toggle } from './settings.js';

const LOG_FORMATS = ['auto', 'pretty', 'json'] as const;

const common = {
  data: one('--data <dir>', 'data directory (default: that of the service, /var/lib/occ/ROLE)', path),
  logLevel: one('--log-level <level>', `one of ${LOG_LEVELS.join(', ')} (default info)`, oneOf(...LOG_LEVELS)),
  logFormat: one('--log-format <format>', 'auto: pretty on a terminal, otherwise JSON', oneOf(...LOG_FORMATS)),
  metricsPort: one(
    '--metrics-port <port>',
    'serve metrics for Prometheus there (GET /metrics), to this machine only; host:port for others, too; default: off',
    listeningHere,
  ),
};

const port = wholeNumber(1, 65_535);

/** Of every machine in a customer's network. */
const member = {
  tokenFile: one('--token-file <file>', 'enrolment token, needed once; - reads it from standard input', pathOrStdin),
  interfaces: many(
    '--interface <name>',
    'network interface (name or address) for discovery; default: all but loopback',
    anyText,
  ),
  proxy: one('--proxy <url>', 'HTTP proxy on the way to the cloud (default: https_proxy and NO_PROXY)', anyText),
  execDirectories: many(
    '--exec-directory <dir>',
    'where programs of exec sensors may be; default: the monitoring-plugins folders if the hub is root, else none',
    path,
  ),
  execUser: one(
    '--exec-user <user>',
    'who runs them when the hub is root: a name or uid:gid (default nobody)',
    anyText,
  ),
  watchDirectories: many(
    '--watch-directory <dir>',
    `below which file and log sensors may look; default: ${LOG_DIRECTORIES.join(', ')}`,
    path,
  ),
  sshCommands: many(
    '--ssh-command <name=command>',
    'what ssh sensors may run on other hosts, by its name; default: nothing',
    namedCommand,
  ),
  ssdpPort: one('--ssdp-port <port>', 'UDP port of discovery', port, { hidden: true }),
  fallbackAfter: one('--fallback-after <duration>', 'how long to wait for a connector', duration, { hidden: true }),
  walSize: one('--wal-size <size>', 'bound of the write-ahead log', size, { hidden: true }),
  journal: one('--journal <file>', 'what was reported durable, line by line', path, { hidden: true }),
};

export const CLOUD_SETTINGS = {
  ...common,
  listen: one('--listen <host:port>', 'where to listen (default [::]:443)', listening),
  names: many(
    '--name <name>',
    'name or address for the certificate; default: host name, localhost, 127.0.0.1',
    anyText,
  ),
  public: one('--public <host:port>', 'where machines reach this cloud, as it stands in tokens', address),
  mesh: one('--mesh <name>', 'name of the mesh, at its first start only (default mesh)', anyText),
  certificateLifetime: one('--certificate-lifetime <duration>', "of machines' certificates (default 90d)", duration, {
    hidden: true,
  }),
  heartbeat: one('--heartbeat <duration>', 'how often hubs give a sign of life', duration, { hidden: true }),
  retentionEvery: one('--retention-every <duration>', 'how often what is old is looked for', duration, {
    hidden: true,
  }),
  openmetricsPort: one(
    '--openmetrics-port <port>',
    'serve latest readings for Prometheus there (https, GET /metrics, an API token), to this machine only; ' +
      'host:port for others, too; default: off',
    listeningHere,
  ),
  privateWebhooks: toggle('--private-webhooks', 'webhooks may also be http, and in private networks'),
  smtpHost: one('--smtp-host <host>', 'mail server, for e-mails about alarms', anyText),
  smtpPort: one('--smtp-port <port>', 'its port (default 587, or 465 for implicit TLS)', port),
  smtpTls: one('--smtp-tls <how>', `one of ${SMTP_TLS.join(', ')} (default required)`, oneOf(...SMTP_TLS)),
  smtpFrom: one('--smtp-from <address>', 'sender of e-mails', anyText),
  smtpUser: one('--smtp-user <user>', 'who logs in there; default: nobody', anyText),
  smtpPasswordFile: one('--smtp-password-file <file>', 'file of mode 0600 with the password', path),
};

export const CONNECTOR_SETTINGS = {
  ...common,
  ...member,
  listen: one('--listen <host:port>', 'where hubs connect (default 0.0.0.0:11000)', listening),
};

const connectors = many('--connector <host:port>', 'connector to use where multicast does not reach', address);

export const HUB_SETTINGS = {
  ...common,
  ...member,
  connectors,
  direct: toggle('--no-direct', 'never connect to the cloud without a connector'),
  multicast: toggle('--no-multicast', 'do not search for connectors in the local network'),
};

/** Where a member is and what it goes through, for whoever looks at one. */
export const MEMBER_PLACES = {
  data: common.data,
  tokenFile: member.tokenFile,
  proxy: member.proxy,
  connectors,
  interfaces: member.interfaces,
  ssdpPort: member.ssdpPort,
};
