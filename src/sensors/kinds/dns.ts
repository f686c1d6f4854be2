// Kind `dns`: asks a name server (this machine's own, or a chosen one) and compares what it answers.
import type { promises } from 'node:dns';
import { isIP } from 'node:net';
import { type DnsSettings, dns as description } from '../catalogue/dns.js';
import type { Measurement, SensorKind, SensorModules } from '../kind.js';
import { critical, verdictOn } from '../network-verdict.js';
import { round } from '../rounding.js';

const IN_WORDS: Readonly<Record<string, string>> = {
  ENOTFOUND: 'there is no such name',
  ENODATA: 'the name has no such record',
  ESERVFAIL: 'the name server failed',
  EREFUSED: 'the name server refuses to answer',
  ETIMEOUT: 'no answer',
  EBADRESP: 'the answer cannot be read',
  EFORMERR: 'the name server does not understand the question',
  ENOTIMP: 'the name server does not know such questions',
};
const SHOWN = 5;

/** Each answer as zone files write it. */
async function ask(resolver: promises.Resolver, { name, type }: DnsSettings): Promise<string[]> {
  switch (type) {
    case 'MX':
      return (await resolver.resolveMx(name)).map(({ priority, exchange }) => `${priority} ${exchange}`);
    case 'SRV':
      return (await resolver.resolveSrv(name)).map((s) => `${s.priority} ${s.weight} ${s.port} ${s.name}`);
    case 'SOA': {
      const { nsname, hostmaster, serial } = await resolver.resolveSoa(name);
      return [`${nsname} ${hostmaster} ${serial}`];
    }
    case 'TXT':
      return (await resolver.resolveTxt(name)).map((parts) => parts.join(''));
    case 'PTR':
      return isIP(name) ? await resolver.reverse(name) : await resolver.resolvePtr(name);
    default:
      return (await resolver.resolve(name, type)) as string[];
  }
}

/** Names are the same in any case, with and without the final dot; texts are not. */
const alike = (answers: readonly string[], type: DnsSettings['type']) =>
  [...new Set(answers.map((answer) => (type === 'TXT' ? answer : answer.toLowerCase().replace(/\.$/, ''))))].sort();

function complaint(answers: readonly string[], { expect, type }: DnsSettings): string | undefined {
  if (!expect) return undefined;
  const [came, wanted] = [alike(answers, type), alike(expect, type)];
  if (came.join('\n') === wanted.join('\n')) return undefined;
  return `the answer is ${came.slice(0, SHOWN).join(', ')}${came.length > SHOWN ? ', …' : ''}`;
}

async function measure(settings: DnsSettings, { clock }: SensorModules, signal: AbortSignal): Promise<Measurement> {
  const { Resolver } = (await import('node:dns')).promises;
  signal.throwIfAborted();
  const resolver = new Resolver();
  if (settings.server !== undefined) {
    const server = isIP(settings.server) === 6 ? `[${settings.server}]` : settings.server;
    resolver.setServers([`${server}:${settings.port}`]);
  }
  const cancel = () => resolver.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  const started = clock.monotonic();
  try {
    const answers = await ask(resolver, settings);
    const values = [
      { name: 'time', unit: 'ms', value: round(clock.monotonic() - started, 1) },
      { name: 'answers', unit: '', value: answers.length },
    ];
    const problem = complaint(answers, settings);
    return problem === undefined ? { values } : critical(problem, values);
  } catch (thrown) {
    const words = IN_WORDS[(thrown as NodeJS.ErrnoException).code ?? ''];
    return words === undefined || signal.aborted ? verdictOn(thrown, signal) : critical(words);
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

export const dns: SensorKind<DnsSettings> = {
  ...description,
  create: (settings, modules) => ({ measure: (signal) => measure(settings, modules, signal) }),
};
