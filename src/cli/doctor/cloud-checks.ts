// The way to the cloud: its name, the port, whoever looks into TLS on the way, the time there, and its version.

import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { HealthService as Health } from '../../../gen/grpc/health/v1/health.js';
import { OperationsServiceService } from '../../../gen/occmesh/operations/v1/operations.js';
import { GrpcChannel } from '../../contract/channel.js';
import { ContractFault } from '../../contract/fault.js';
import { parseAddress } from '../../discovery/hint.js';
import { clientIdentity, judgeServer } from '../../identity/tls.js';
import { WRONG_CLOCK } from '../../kernel/clock.js';
import { defined } from '../../kernel/defined.js';
import { formatDuration, milliseconds, seconds } from '../../kernel/duration.js';
import { describe, Fault } from '../../kernel/fault.js';
import { silentLogger } from '../../kernel/log.js';
import { SOFTWARE } from '../../kernel/software.js';
import { behind } from '../versions.js';
import { type CheckModules, type Finding, failed, ok, skipped, warning } from './finding.js';
import type { Patient } from './patient.js';
import { look, type Sighting } from './probe.js';

const SLIGHTLY_WRONG = seconds(5);

export async function nameChecks({ cloud }: Patient, { signal }: CheckModules): Promise<readonly Finding[]> {
  const check = 'name of the cloud';
  if (cloud === undefined) return [skipped(check, 'it is not known which cloud is meant')];
  const { host } = parseAddress(cloud);
  if (isIP(host) !== 0) return [ok(check, `${host} is an address`)];
  try {
    const found = await lookup(host, { all: true });
    signal.throwIfAborted();
    return [ok(check, `${host} is ${found.map(({ address }) => address).join(', ')}`)];
  } catch (thrown) {
    signal.throwIfAborted();
    return [
      failed(
        check,
        `${host} has no address: ${describe(thrown)}`,
        'Check the DNS server of this machine, and how the name is written.',
      ),
    ];
  }
}

/** Looks at the cloud directly and, where there is one, through the proxy, which is what counts then. */
export async function wayChecks(
  patient: Patient,
  proxy: string | undefined,
  modules: CheckModules,
): Promise<readonly Finding[]> {
  const { cloud } = patient;
  if (cloud === undefined) return [skipped('way to the cloud', 'it is not known which cloud is meant')];
  const looked = async (by: string | undefined) => look(cloud, by, modules).catch((thrown: unknown) => ({ thrown }));
  const [direct, proxied] = await Promise.all([looked(undefined), proxy === undefined ? undefined : looked(proxy)]);
  modules.signal.throwIfAborted();
  const told = proxied ?? direct;
  const straight = judge(patient, cloud, 'directly', direct, modules);
  const findings: Finding[] = [];
  if (proxied === undefined) findings.push(straight);
  else {
    const { verdict, seen } = straight;
    findings.push(
      skipped('way to the cloud', `${seen}${verdict === 'ok' ? '' : '; that does not matter'}: the proxy is used`),
    );
    findings.push(judge(patient, cloud, 'through the proxy', proxied, modules));
  }
  const trusted = 'certificate' in told && patient.trust && findings.at(-1)?.verdict === 'ok';
  findings.push(trusted ? clockFinding(told) : skipped('clock', 'nobody who is trusted tells the time'));
  return findings;
}

type Looked = Sighting | { readonly thrown: unknown };

function judge({ trust }: Patient, cloud: string, how: string, looked: Looked, { clock }: CheckModules): Finding {
  const check = how === 'directly' ? 'way to the cloud' : 'way through the proxy';
  if ('thrown' in looked) {
    const { thrown } = looked;
    const refused = thrown instanceof Error && thrown.message.includes('ECONNREFUSED');
    const advice = refused
      ? 'Nobody listens there: check that the cloud is running, and its address and port.'
      : 'Let this machine connect to that port: outgoing TCP is enough.';
    return failed(check, `${cloud} ${how}: ${describe(thrown)}`, (thrown instanceof Fault && thrown.advice) || advice);
  }
  const { certificate, issuer } = looked;
  if (!trust) {
    const todo = 'Name a token with --token-file: it says which CA is the right one.';
    return warning(check, `${cloud} answers ${how}; its certificate is from ${issuer}, which cannot be judged`, todo);
  }
  const expected = { mesh: trust.meshes[0] ?? '', role: 'cloud' } as const;
  const fault = judgeServer(trust, expected, () => clock.now())(certificate);
  if (!fault) return ok(check, `${cloud} answers ${how}, as the cloud of this mesh`);
  switch (fault.code) {
    case 'identity.untrusted':
    case 'identity.malformed': {
      const todo = `Have the proxy or firewall let connections to ${cloud} pass without looking into TLS.`;
      return failed(
        check,
        `${cloud} ${how}: somebody looks into TLS; the certificate is from "${issuer}" and not from the CA of this mesh`,
        todo,
      );
    }
    case 'identity.expired':
      return failed(check, `${cloud} ${how}: ${fault.message}`, 'Compare the clocks of this machine and of the cloud.');
    default:
      return failed(check, `${cloud} ${how}: ${fault.message}`, 'Check the address of the cloud.');
  }
}

function clockFinding({ date }: Sighting): Finding {
  if (!date) return skipped('clock', 'the cloud does not tell the time');
  // Theirs is cut off at the second.
  const offset = date.ours - date.theirs - 500;
  const wrong = Math.max(0, Math.abs(offset) - 500);
  const seen = `${formatDuration(milliseconds(wrong))} ${offset > 0 ? 'ahead of' : 'behind'} the cloud`;
  const todo = 'Set the clock, and keep it right (timedatectl set-ntp true, or the time service of this network).';
  if (wrong > WRONG_CLOCK) return failed('clock', seen, todo);
  if (wrong > SLIGHTLY_WRONG) return warning('clock', seen, todo);
  return ok('clock', 'agrees with the cloud');
}

/** What only a conversation shows: that gRPC passes, that this machine is welcome, and which version is there. */
export async function serviceChecks(
  patient: Patient,
  proxy: string | undefined,
  modules: CheckModules,
): Promise<readonly Finding[]> {
  const { cloud, trust, member } = patient;
  const check = 'version';
  if (cloud === undefined || trust === undefined) return [skipped(check, 'there is no cloud that is trusted')];
  const expected = { mesh: trust.meshes[0] ?? '', role: 'cloud' } as const;
  const judgeIt = judgeServer(trust, expected, () => modules.clock.now());
  const own = member ? clientIdentity(member.certificate, member.identity, trust) : { ca: [...trust.pems] };
  const channel = new GrpcChannel(
    { address: cloud, tls: { ...own, judgeServer: judgeIt }, connectWithin: seconds(8), ...defined({ proxy }) },
    { clock: modules.clock, log: silentLogger },
  );
  const { signal } = modules;
  try {
    if (!member) {
      await channel.unary(Health.check, { service: '' }, { signal });
      return [ok(check, `the cloud answers gRPC; this is ${SOFTWARE}`)];
    }
    const { software } = await channel.unary(OperationsServiceService.getCloud, {}, { signal });
    return [versionFinding(software)];
  } catch (thrown) {
    if (thrown instanceof ContractFault && thrown.code === 'contract.unimplemented') {
      return [
        warning(check, `the cloud is older than ${SOFTWARE} and does not tell its version`, 'Update the cloud first.'),
      ];
    }
    // No other way leads around that.
    if (thrown instanceof ContractFault && thrown.code === 'contract.denied') {
      return [failed('admission', `the cloud does not let this machine in: ${describe(thrown)}`, thrown.advice)];
    }
    // Told by the check of the way.
    if (
      thrown instanceof ContractFault &&
      ['contract.unavailable', 'contract.untrusted-peer', 'contract.proxy-refused'].includes(thrown.code)
    ) {
      return [skipped(check, 'the cloud was not reached')];
    }
    throw thrown;
  } finally {
    await channel.stop();
  }
}

function versionFinding(software: string): Finding {
  const distance = behind(SOFTWARE, software);
  const seen = `${SOFTWARE} here, ${software} in the cloud`;
  if (distance === 'major') return failed('version', seen, 'Update this machine.');
  if (distance === 'minor' || distance === 'patch') return warning('version', seen, 'Update this machine.');
  if (distance === 'ahead') return warning('version', seen, 'Update the cloud first: it is meant to be the newest.');
  return ok('version', distance === 'same' ? `${SOFTWARE}, as the cloud` : seen);
}
