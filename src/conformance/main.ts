// `make conformance TARGET=host:port`: plays a hub against any connector or cloud, and says of each rule of the contract
// whether it was kept. Exit code 0: all were; 1: some were not; 2: they could not be judged.
import { parseArgs } from 'node:util';
import { openClient } from '../cli/client-file.js';
import { coloured, plain } from '../cli/output/colour.js';
import { processTerminal } from '../cli/process-terminal.js';
import { readTokenFile } from '../cli/token-file.js';
import type { MeshClient } from '../client/index.js';
import { uuidText } from '../identity/uuid.js';
import { seconds } from '../kernel/duration.js';
import { describe } from '../kernel/fault.js';
import { silentLogger } from '../kernel/log.js';
import type { Judge, PlayedConnector } from './bench.js';
import { enrolConnector, enrolHub } from './enrol.js';
import { GrpcTarget } from './grpc-target.js';
import { asJson, asTable } from './report.js';
import type { Finding } from './rule.js';
import { judge, RULES } from './run.js';

const USAGE = `usage: make conformance TARGET=host:port ARGS="--token-file FILE [more]"
  --token-file FILE  an unused token for a hub, which is played; a second one for another hub, which does nothing wrong
  --connector-token FILE  one for a connector, which is played, too, where the target is a cloud
  --client FILE      client.yaml of the cloud: its ledger is the judge, and the second hub is retired in the end
  --only PREFIX      these rules only: link.frame
  --patience SECONDS how long an answer may take; default 10
  --json             for programs
  --list             the rules, without judging anybody
`;

const terminal = processTerminal();

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'token-file': { type: 'string', multiple: true, default: [] },
      'connector-token': { type: 'string' },
      client: { type: 'string' },
      only: { type: 'string', default: '' },
      patience: { type: 'string', default: '10' },
      json: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
    },
  });
  const rules = RULES.filter(({ id }) => id.startsWith(values.only));
  const paint = terminal.stdout.isTerminal ? coloured : plain;
  if (values.list) {
    for (const { id, promise, from } of rules) terminal.stdout.write(`${id}  ${promise} (${from})\n`);
    return 0;
  }
  const [address] = positionals;
  const { clock } = terminal;
  const read = await Promise.all(values['token-file'].map((file) => readTokenFile(file, terminal, silentLogger)));
  const [first, second] = read.filter((token) => token !== undefined);
  const patience = Number(values.patience);
  if (!address || positionals.length > 1 || !first || !(patience > 0) || rules.length === 0) {
    terminal.stderr.write(USAGE);
    return 2;
  }
  await using client = values.client === undefined ? undefined : await openClient(values.client, terminal);
  const target = await GrpcTarget.find(address, first, clock);
  const hub = await enrolHub(target, first, clock);
  const bench = {
    ...{ target, hub, token: first, clock, patience: seconds(patience), seenBroken: new Map<string, string>() },
    connector: await connectorFor(target, values['connector-token']),
    witness: second && (await enrolHub(target, second, clock)),
    api: client && judgeBy(client),
  };
  const findings: Finding[] = [];
  for await (const finding of judge(bench, rules)) {
    findings.push(finding);
    if (!values.json) terminal.stderr.write(`${finding.outcome}  ${finding.id}\n`);
  }
  terminal.stdout.write(values.json ? asJson(`${target.role} ${address}`, findings) : `\n${asTable(findings, paint)}`);
  return findings.some(({ outcome }) => outcome === 'broken') ? 1 : 0;
}

/** None where the target is a connector itself. */
async function connectorFor(target: GrpcTarget, file: string | undefined): Promise<PlayedConnector | undefined> {
  const token = await readTokenFile(file, terminal, silentLogger);
  if (!token || target.role !== 'cloud') return undefined;
  const { key, certificate, hub } = await enrolConnector(target, token, terminal.clock);
  return { certificate, hub, openTrunk: () => target.openTrunk({ key, certificate, trust: hub.trust }) };
}

function judgeBy(client: MeshClient): Judge {
  return {
    readingsHeld: async (machineId, log) => {
      const { logs } = await client.readings.getLedger({ machineId: uuidText(machineId) });
      return logs.find((one) => Buffer.from(one.log).equals(log))?.readingCount ?? 0;
    },
    retire: async (machineId) => {
      await client.machines.retireMachine({ id: uuidText(machineId) });
    },
  };
}

process.exitCode = await main().catch((thrown: unknown) => {
  terminal.stderr.write(`${describe(thrown)}\n`);
  return 2;
});
