// The local network: whether multicast can be used, and which connectors answer.
import { join } from 'node:path';
import { formatAddress } from '../../discovery/hint.js';
import { type LocalInterface, selectInterfaces, systemInterfaces } from '../../discovery/interfaces.js';
import { RememberedConnectors } from '../../discovery/remembered.js';
import { SsdpSearcher } from '../../discovery/searcher.js';
import { SSDP_PORT } from '../../discovery/ssdp-protocol.js';
import { closeSocket, openListener } from '../../discovery/ssdp-socket.js';
import { judgeServer } from '../../identity/tls.js';
import { defined } from '../../kernel/defined.js';
import { seconds } from '../../kernel/duration.js';
import { describe } from '../../kernel/fault.js';
import { silentLogger } from '../../kernel/log.js';
import { type CheckModules, type Finding, failed, ok, skipped, warning } from './finding.js';
import type { Patient } from './patient.js';
import { look } from './probe.js';

export interface NetworkOptions {
  readonly interfaces: readonly string[] | undefined;
  readonly ssdpPort: number | undefined;
}

const SEARCH = seconds(3);

export async function multicastChecks({ interfaces, ssdpPort }: NetworkOptions): Promise<readonly Finding[]> {
  const check = 'multicast';
  const todo = 'Name the interface with --interface, or give hubs the address of the connector by hand.';
  const found = selectInterfaces(systemInterfaces, interfaces);
  if (found.length === 0) return [warning(check, 'there is no network interface with an IPv4 address', todo)];
  const joined = await Promise.all(found.map((iface) => joins(iface, ssdpPort ?? SSDP_PORT)));
  const names = (wanted: boolean) =>
    found.filter((_, i) => (joined[i] === undefined) === wanted).map(({ name }) => name);
  const why = joined.find((problem) => problem !== undefined);
  if (why === undefined) return [ok(check, `SSDP can be heard on ${names(true).join(', ')}`)];
  const elsewhere = names(true).length === 0 ? '' : `; on ${names(true).join(', ')} it works`;
  return [warning(check, `no SSDP on ${names(false).join(', ')}: ${why}${elsewhere}`, todo)];
}

async function joins(iface: LocalInterface, port: number): Promise<string | undefined> {
  try {
    await closeSocket(await openListener(iface, port, () => undefined, silentLogger));
    return undefined;
  } catch (thrown) {
    return describe(thrown);
  }
}

/** Every connector that is known or answers, looked at side by side. */
export async function connectorChecks(
  patient: Patient,
  options: NetworkOptions,
  modules: CheckModules,
): Promise<readonly Finding[]> {
  const check = 'connector';
  if (patient.role === 'connector') return [skipped(check, 'this machine is one')];
  const { trust, customerId, data } = patient;
  const searcher = new SsdpSearcher(defined(options), { ...modules, log: silentLogger });
  const heard = await searcher.search(SEARCH, modules.signal);
  const remembered = await RememberedConnectors.open(join(data, 'connectors.json'), silentLogger);
  const addresses = [...new Set([...patient.connectors, ...[...heard, ...remembered.hints].map(formatAddress)])];
  if (addresses.length === 0) {
    const todo = 'Start one in this network, or name it with --connector host:port if multicast does not reach it.';
    return [failed(check, 'none is known, and none answers by SSDP', todo)];
  }
  const findings = await Promise.all(
    addresses.map(async (address): Promise<Finding> => {
      const how = heard.some((hint) => formatAddress(hint) === address) ? 'answers by SSDP' : 'is known';
      try {
        const { certificate, issuer } = await look(address, undefined, modules);
        if (!trust)
          return warning(
            check,
            `${address} ${how}, and cannot be judged without a token`,
            'Name a token with --token-file.',
          );
        const expected = { mesh: trust.meshes[0] ?? '', role: 'connector', ...defined({ customerId }) } as const;
        const fault = judgeServer(trust, expected, () => modules.clock.now())(certificate);
        if (!fault) return ok(check, `${address} ${how}, and is one of this customer`);
        return failed(
          check,
          `${address} ${how}: ${fault.message} (issued by "${issuer}")`,
          'Take it out of the settings if it is none of yours.',
        );
      } catch (thrown) {
        modules.signal.throwIfAborted();
        return failed(
          check,
          `${address} ${how}, and is not reached: ${describe(thrown)}`,
          'Start it, or let this machine connect to that port.',
        );
      }
    }),
  );
  // One that answers is enough: the others are worth a look, no more.
  const isFound = findings.some(({ verdict }) => verdict === 'ok');
  return findings.map((finding) =>
    isFound && finding.verdict === 'failed' ? { ...finding, verdict: 'warning' } : finding,
  );
}
