// What appears on the screen: safe text, colours only where somebody looks, ages, trees.
import { expect } from 'chai';
import { coloured, plain } from '../../../src/cli/output/colour.js';
import { inFlags } from '../../../src/cli/output/fields.js';
import { valuesText } from '../../../src/cli/output/reading.js';
import { table } from '../../../src/cli/output/table.js';
import { oneLine } from '../../../src/cli/output/text.js';
import { ago, iso } from '../../../src/cli/output/times.js';
import { countLines, tree } from '../../../src/cli/output/tree.js';
import {
  callerWord,
  conditionOf,
  gapReasonWord,
  machineStateWord,
  routeOf,
  stateWord,
} from '../../../src/cli/output/words.js';
import { wantsColour } from '../../../src/cli/terminal.js';
import { type Caller, MachineState, Path, Role, type State } from '../../../src/client/index.js';
import { epochMs } from '../../../src/kernel/duration.js';
import { printable } from '../../../src/kernel/text.js';
import { content } from './fake-cloud.js';
import { Screen, testTerminal } from './support.js';

const ESCAPE = '\u001b';

describe('output', () => {
  it('shows nothing that a terminal would obey', () => {
    const attack = `a${ESCAPE}]0;title\u0007b\u009b31mc\u202ed\u0000e`;
    expect(printable(attack)).to.equal('a\ufffd]0;title\ufffdb\ufffd31mc\ufffdd\ufffde');
    expect(oneLine('two\r\n  lines\tand a tab ')).to.equal('two lines and a tab');
    expect(oneLine('x'.repeat(200), 10)).to.equal(`${'x'.repeat(9)}…`);
    expect(printable('Grüße, 世界 👋')).to.equal('Grüße, 世界 👋');
    expect(table(['A'], [[attack]], plain)).not.to.contain(ESCAPE);
  });

  it('aligns columns, also with colours', () => {
    const rows = [
      ['a', { text: 'bad', tone: 'bad' as const }, 'x'],
      ['longer', 'b', ''],
    ];
    expect(table(['ONE', 'TWO', 'THREE'], rows, plain)).to.equal('ONE     TWO  THREE\na       bad  x\nlonger  b\n');
    expect(table(['ONE', 'TWO', 'THREE'], rows, coloured)).to.contain(`a       ${ESCAPE}[31mbad${ESCAPE}[39m  x`);
  });

  it('uses colours on a terminal only, and not against NO_COLOR', () => {
    const screen = new Screen(true, 80, 24);
    expect(wantsColour(testTerminal({ stdout: screen }))).to.equal(true);
    expect(wantsColour(testTerminal())).to.equal(false);
    expect(wantsColour(testTerminal({ stdout: screen, env: { NO_COLOR: '1' } }))).to.equal(false);
    expect(wantsColour(testTerminal({ stdout: screen, env: { TERM: 'dumb' } }))).to.equal(false);
  });

  it('says what the cloud says about a field in the words of the command line', () => {
    for (const [said, shown] of [
      ['interval_ms: must be 1000 to 86400000, is 1', '--interval: must be 1s to 1d, is 1ms'],
      [
        'timeout_ms: must be less than interval_ms (5000), is 10000',
        '--timeout: must be less than --interval (5s), is 10s',
      ],
      ['thresholds[1].metric: http never measures "x"', '--warn or --crit: http never measures "x"'],
      ['schedule.time_zone: there is no zone "Berlin"', '--time-zone: there is no zone "Berlin"'],
      ['bucket_ms: makes 3600090 buckets; 10000 at most', '--every: makes 3600090 buckets; 10000 at most'],
      ['settings: url: must be an http or https URL', 'settings: url: must be an http or https URL'],
    ])
      expect(inFlags(said ?? '')).to.equal(shown);
  });

  it('tells ages and moments', () => {
    const now = epochMs(1_000_000_000);
    expect(ago(now - 3_000, now)).to.equal('3s ago');
    expect(ago(now + 120_000, now)).to.equal('in 2m');
    expect(ago(0, now)).to.equal('never');
    expect(iso(0)).to.equal(undefined);
    expect(iso(Number.MAX_SAFE_INTEGER)).to.equal(undefined);
    expect(iso(1_000)).to.equal('1970-01-01T00:00:01.000Z');
  });

  it('tells of a clock that is wrong by a minute or more', () => {
    const [machine] = content().machines;
    if (machine === undefined) throw new Error('there is none');
    const condition = (clockOffsetMs: number) => conditionOf({ ...machine, clockOffsetMs });
    expect(condition(59_999)).to.equal('online');
    expect(condition(400_000_000)).to.equal('online, clock 4d 15h ahead');
    expect(condition(-60_000)).to.equal('online, clock 1m behind');
  });

  it('names every value of the contract, and what a newer cloud sends', () => {
    expect(gapReasonWord(1)).to.equal('log full');
    expect(machineStateWord(MachineState.NEVER_SEEN)).to.equal('never seen');
    expect(machineStateWord(99)).to.equal('unknown');
    expect(stateWord(99 as State)).to.equal('UNKNOWN');
    expect(callerWord(99 as Caller)).to.equal('unknown');
  });

  it('tells how data comes: via which connector, direct, or why not at all', () => {
    const [first] = content().machines;
    if (!first) throw new Error('no machine');
    const hub = { ...first, role: Role.HUB, connectorId: 'c', path: Path.CONNECTOR };
    const route = (state: MachineState, more: object = {}) =>
      routeOf({ ...hub, state, ...more }, (id) => `name of ${id}`);
    expect(route(MachineState.ONLINE)).to.equal('via name of c');
    expect(route(MachineState.ONLINE, { path: Path.DIRECT })).to.equal('direct');
    expect(route(MachineState.ONLINE, { role: Role.CONNECTOR })).to.equal('cloud');
    expect(route(MachineState.LOST)).to.equal('offline');
    expect(route(MachineState.SHUT_DOWN)).to.equal('shut down');
    expect(route(MachineState.NEVER_SEEN)).to.equal('never seen');
    expect(route(MachineState.UNREACHABLE)).to.equal('unreachable');
  });

  it('shows values in units that people read', () => {
    const value = (name: string, unit: string, number: number) => ({ name, unit, value: number });
    expect(valuesText([value('free', 'By', 3_221_225_472), value('usage', '%', 12.34567)])).to.equal(
      'free 3 GiB, usage 12.35 %',
    );
    expect(valuesText([value('n', '', 7), value('big', 'c', 12_345_678), value('zero', 'By', 0)])).to.equal(
      'n 7, big 12350000 c, zero 0 B',
    );
    expect(valuesText(Array.from({ length: 6 }, (_, i) => value(`m${i}`, '', i)))).to.equal(
      'm0 0, m1 1, m2 2, m3 3 and 2 more',
    );
  });

  it('draws trees', () => {
    const leaf = (text: string) => ({ text, children: [] });
    const roots = [{ text: 'a', children: [{ text: 'b', children: [leaf('c')] }, leaf('d')] }];
    expect(tree(roots, plain)).to.equal('a\n├─ b\n│  └─ c\n└─ d\n');
    expect(countLines(roots)).to.equal(4);
  });
});
