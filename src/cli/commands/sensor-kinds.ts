// `occ sensors kinds`: what can be measured, from the program's own catalogue; no cloud is asked.
import type { Command } from 'commander';
import { z } from 'zod';
import { CATALOGUE, describeKind } from '../../sensors/catalogue.js';
import type { SensorDescription } from '../../sensors/kind.js';
import { CliFault } from '../fault.js';
import { coloured, type Paint, plain } from '../output/colour.js';
import { table } from '../output/table.js';
import { span } from '../output/times.js';
import { type Terminal, wantsColour } from '../terminal.js';

interface SettingInfo {
  readonly key: string;
  readonly type: string;
  readonly required: boolean;
  readonly default: unknown;
  readonly text: string;
}

export function addKinds(group: Command, terminal: Terminal): void {
  const command = group
    .command('kinds [kind]')
    .description('What can be measured; with a kind, its metrics, settings and secrets')
    .option('--json', 'print JSON instead of text');
  command.action((wanted: string | undefined, { json = false }: { json?: boolean }) => {
    const kinds = wanted === undefined ? Object.values(CATALOGUE).map(general) : [known(wanted)];
    const paint = wantsColour(terminal) ? coloured : plain;
    if (json) {
      const all = kinds.map(plainKind);
      terminal.stdout.write(`${JSON.stringify(wanted === undefined ? all : all[0], undefined, 2)}\n`);
    } else {
      terminal.stdout.write(
        wanted === undefined ? overview(kinds, paint) : kinds.map((kind) => details(kind, paint)).join(''),
      );
    }
  });
}

const general = (kind: unknown) => kind as SensorDescription<unknown>;

function known(wanted: string): SensorDescription<unknown> {
  const kind = describeKind(wanted);
  if (kind) return kind;
  throw new CliFault('cli.not-found', `there is no kind "${wanted}"`, {
    advice: `There is ${Object.keys(CATALOGUE).join(', ')}.`,
  });
}

function plainKind(kind: SensorDescription<unknown>) {
  const { interval, timeout, thresholds } = kind.defaults;
  return {
    name: kind.name,
    summary: kind.summary,
    intervalMs: interval,
    timeoutMs: timeout,
    metrics: kind.metrics,
    thresholds,
    settings: settingsOf(kind),
    secrets: secretsOf(kind),
  };
}

function overview(kinds: readonly SensorDescription<unknown>[], paint: Paint): string {
  const rows = kinds.map((kind) => [
    { text: kind.name, tone: 'strong' } as const,
    span(kind.defaults.interval),
    kind.summary,
    settingsOf(kind)
      .map(({ key, required }) => (required ? key : `[${key}]`))
      .join(' '),
  ]);
  return table(['KIND', 'EVERY', 'MEASURES', 'SETTINGS'], rows, paint);
}

function details(kind: SensorDescription<unknown>, paint: Paint): string {
  const { interval, timeout, thresholds } = kind.defaults;
  const measures = kind.metrics ? kind.metrics.join(', ') : 'whatever it says';
  const head = `${kind.name}: ${kind.summary}\nevery ${span(interval)}, timeout ${span(timeout)}\nmetrics: ${measures}\n`;
  const limits = thresholds.map(({ metric, warning, critical }) => [metric, warning, critical]);
  const settings = settingsOf(kind).map(({ key, type, required, default: value, text }) => [
    { text: key, tone: 'strong' } as const,
    type,
    required ? 'required' : value === undefined ? '' : `default ${JSON.stringify(value)}`,
    text,
  ]);
  const secrets = secretsOf(kind).map(({ name, required, summary }) => [
    { text: name, tone: 'strong' } as const,
    required ? 'required' : '',
    summary,
  ]);
  return [
    head,
    limits.length === 0 ? '' : `\n${table(['METRIC', 'WARNING', 'CRITICAL'], limits, paint)}`,
    settings.length === 0 ? '' : `\n${table(['SETTING', 'TYPE', '', ''], settings, paint)}`,
    secrets.length === 0 ? '' : `\n${table(['SECRET', '', ''], secrets, paint)}`,
  ].join('');
}

const secretsOf = (kind: SensorDescription<unknown>) =>
  Object.entries(kind.secrets?.fields ?? {}).map(([name, field]) => ({ name, ...field }));

/** What of a JSON schema (https://json-schema.org) is of interest here. */
interface JsonSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly items?: JsonSchema;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: { readonly [key: string]: JsonSchema };
  readonly required?: readonly string[];
}

function settingsOf(kind: SensorDescription<unknown>): SettingInfo[] {
  const schema = z.toJSONSchema(kind.settings, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  return Object.entries(schema.properties ?? {}).map(([key, property]) => ({
    key,
    type: typeOf(property),
    required: schema.required?.includes(key) ?? false,
    default: property.default,
    text: property.description ?? '',
  }));
}

function typeOf(schema: JsonSchema): string {
  if (schema.enum) return schema.enum.map(String).join(' | ');
  if (schema.type === 'array') return `list of ${schema.items ? typeOf(schema.items) : 'any'}`;
  return schema.type ?? 'any';
}
