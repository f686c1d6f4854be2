// The tables of metrics and the dashboard over them: names as Prometheus wants them, and nothing shown that is not told.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { CLOUD_METRICS } from '../../../src/cloud/metrics.js';
import { CONNECTOR_METRICS } from '../../../src/connector/metrics.js';
import { HUB_METRICS } from '../../../src/hub/metrics.js';
import type { MetricLine, MetricTable } from '../../../src/kernel/metrics.js';
import { PrometheusMeters } from '../../../src/metrics/prometheus.js';
import { parsePrometheus } from '../../support/prometheus-text.js';

const TABLES = { cloud: CLOUD_METRICS, connector: CONNECTOR_METRICS, hub: HUB_METRICS } as const;
const FILE = join(resolve(import.meta.dirname, '../../..'), 'src/metrics/grafana/occ-mesh.json');

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly refId: string; readonly legendFormat: string }[];
}
interface Dashboard {
  readonly title: string;
  readonly uid: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

const dashboard = JSON.parse(readFileSync(FILE, 'utf8')) as Dashboard;
const queries = dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ title, expr })));
const namesIn = (expr: string): string[] =>
  [...expr.matchAll(/\b((?:occ|process|nodejs)_[a-z0-9_]+)\{/g)].map(([, name = '']) => name);

/** What a Prometheus finds when everything runs in one process: names, and the labels of each. */
async function told(): Promise<Map<string, readonly string[]>> {
  const meters = new PrometheusMeters();
  meters.collectProcess();
  for (const table of Object.values<MetricTable>(TABLES)) meters.instruments(table);
  const lines = new Map(
    Object.values<MetricTable>(TABLES)
      .flatMap((table) => Object.values(table))
      .map((line) => [line.name, line]),
  );
  const names = new Map<string, readonly string[]>();
  for (const { name, type } of parsePrometheus(await meters.text()).values()) {
    const labels = Object.keys(lines.get(name)?.labels ?? {});
    names.set(name, labels);
    if (type !== 'histogram') continue;
    for (const suffix of ['_bucket', '_sum', '_count']) names.set(name + suffix, [...labels, 'le']);
  }
  return names;
}

describe('the tables of metrics', () => {
  for (const [role, table] of Object.entries<MetricTable>(TABLES)) {
    it(`of a ${role} follow the conventions`, () => {
      expect(wrongIn(role, Object.values(table))).to.deep.equal([]);
    });
  }

  it('would notice names that do not (negative control)', () => {
    const line = {
      kind: 'counter',
      name: 'occ_hub_ReadingsLost',
      help: 'x',
      labels: { machineId: undefined },
    } as const;
    expect(wrongIn('hub', [line])).to.have.length(4);
  });
});

const UNITS = /_(seconds|bytes|ratio)$/;
/** Bounded by the contract, and not by the table. */
const OPEN_LABELS = ['occ_cloud_rpc_duration_seconds.method', 'occ_cloud_rpc_duration_seconds.code'];

/** https://prometheus.io/docs/practices/naming/ */
function wrongIn(role: string, lines: readonly MetricLine[]): string[] {
  return lines.flatMap(({ kind, name, help, labels }) => {
    const says = (wrong: boolean, what: string) => (wrong ? [`${name}: ${what}`] : []);
    const open = Object.entries(labels).filter(([, values]) => values === undefined);
    return [
      ...says(!new RegExp(`^occ_${role}_[a-z0-9_]+$`).test(name), 'name'),
      ...says((kind === 'counter') !== name.endsWith('_total'), '_total'),
      ...says(kind === 'histogram' && !UNITS.test(name), 'unit'),
      ...says(help.length < 5 || help.endsWith('.'), 'help'),
      ...says(!open.every(([label]) => OPEN_LABELS.includes(`${name}.${label}`)), 'labels without bounds'),
    ];
  });
}

describe('the dashboard', () => {
  it('shows only what is told, by labels that are there', async () => {
    const names = await told();
    for (const { title, expr } of queries) {
      const used = namesIn(expr);
      expect(used, `${title}: ${expr}`).not.to.deep.equal([]);
      for (const name of used) expect([...names.keys()], title).to.include(name);
      const labels = new Set(used.flatMap((name) => [...(names.get(name) ?? [])]));
      for (const [, by = ''] of expr.matchAll(/by \(([^)]+)\)/g)) {
        for (const label of by.split(', ')) expect([...labels], `${title}: ${expr}`).to.include(label);
      }
    }
  });

  it('shows everything that the roles tell', () => {
    const shown = new Set(
      queries.flatMap(({ expr }) => namesIn(expr)).map((name) => name.replace(/_(bucket|sum|count)$/, '')),
    );
    const all = Object.values<MetricTable>(TABLES).flatMap((table) => Object.values(table).map(({ name }) => name));
    expect(all.filter((name) => !shown.has(name))).to.deep.equal([]);
  });

  it('is a model that Grafana takes', () => {
    const { title, uid, schemaVersion, panels, templating } = dashboard;
    expect({ title, uid }).to.deep.equal({ title: 'occ-mesh', uid: 'occ-mesh' });
    expect(schemaVersion).to.be.at.least(36);
    expect(new Set(panels.map(({ id }) => id)).size).to.equal(panels.length);
    const variables = templating.list.map(({ name }) => name);
    for (const { expr } of queries) {
      for (const [, name = ''] of expr.matchAll(/\$([a-z]\w*)/g)) expect(variables).to.include(name);
      expect(balanced(expr), expr).to.equal(true);
    }
    for (const [i, { gridPos: a, title: one }] of panels.entries()) {
      expect(a.x + a.w, one).to.be.at.most(24);
      for (const { gridPos: b, title: other } of panels.slice(i + 1)) {
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        expect(apart, `${one} and ${other} lie upon each other`).to.equal(true);
      }
    }
  });

  it('would notice a name that is not told (negative control)', async () => {
    expect(namesIn('sum(rate(occ_hub_no_such_total{x="y"}[5m]))')).to.deep.equal(['occ_hub_no_such_total']);
    expect([...(await told()).keys()]).not.to.include('occ_hub_no_such_total');
  });
});

/** Parentheses, braces and brackets close in the order in which they open. */
function balanced(expr: string): boolean {
  const open: string[] = [];
  const pairs: Readonly<Record<string, string>> = { ')': '(', '}': '{', ']': '[' };
  for (const letter of expr.replaceAll(/"[^"]*"/g, '')) {
    if ('({['.includes(letter)) open.push(letter);
    else if (letter in pairs && open.pop() !== pairs[letter]) return false;
  }
  return open.length === 0;
}
