// Who is told what: the rules alone, as a table.
import { expect } from 'chai';
import fc from 'fast-check';
import type { AlarmRecord, Severity, Trouble } from '../../../../src/cloud/alarms/records.js';
import { atLeast, joined, noticeFor, toBeKnown } from '../../../../src/cloud/alarms/telling.js';
import { testSeed } from '../../../support/seeded-random.js';

const NOW = 1_000_000;
const warning: Trouble = { cause: 'sensor', severity: 'warning' };
const critical: Trouble = { cause: 'sensor', severity: 'critical' };
const stale: Trouble = { cause: 'stale', severity: 'unknown' };
const remark = { by: 'somebody', atMs: 1, comment: '' };

const alarm = (trouble: Trouble, more: Partial<AlarmRecord> = {}): AlarmRecord => ({
  ...{ v: 1, id: 'a', customerId: 'c', machineId: 'm', message: '', raisedAtMs: 1, changedAtMs: 1, comments: [] },
  ...trouble,
  ...more,
});

describe('alarms: telling', () => {
  const cases: [what: string, alarm: AlarmRecord, inMaintenance: boolean, known: Trouble | undefined][] = [
    ['an open one', alarm(warning), false, warning],
    ['one that has changed', alarm(critical, { told: warning }), false, critical],
    ['one that is closed', alarm(warning, { told: warning, closedAtMs: 2 }), false, undefined],
    ['one that is closed while in maintenance', alarm(warning, { told: warning, closedAtMs: 2 }), true, undefined],
    ['one in maintenance', alarm(warning), true, undefined],
    ['one that was told before the maintenance', alarm(critical, { told: warning }), true, warning],
    ['one that is silenced', alarm(warning, { silencedUntilMs: NOW + 1 }), false, undefined],
    ['one whose silence is over', alarm(warning, { silencedUntilMs: NOW }), false, warning],
    ['one that is acknowledged', alarm(stale, { told: critical, acknowledgement: remark }), false, critical],
    ['one that was acknowledged before it was told', alarm(critical, { acknowledgement: remark }), false, undefined],
    ['one that gets worse after that', alarm(critical, { told: warning, acknowledgement: remark }), false, critical],
    ['one that gets better after that', alarm(warning, { told: critical, acknowledgement: remark }), false, critical],
  ];
  for (const [what, record, inMaintenance, known] of cases) {
    it(`of ${what}: ${known ? `${known.cause} ${known.severity}` : 'nothing'}`, () => {
      expect(toBeKnown(record, inMaintenance, NOW)).to.deep.equal(known);
    });
  }

  it('orders severities: warning, unknown, critical', () => {
    const ordered: Severity[] = ['warning', 'unknown', 'critical'];
    for (const [i, a] of ordered.entries()) {
      for (const [j, b] of ordered.entries()) expect(atLeast(a, b), `${a} ≥ ${b}`).to.equal(i >= j);
    }
  });

  it('tells a channel what concerns it: when it begins, changes and ends there', () => {
    const only = { minSeverity: 'critical' } as const;
    const all = { minSeverity: 'warning' } as const;
    expect(noticeFor(all, undefined, warning)).to.equal('raised');
    expect(noticeFor(all, warning, critical)).to.equal('changed');
    expect(noticeFor(all, critical, undefined)).to.equal('closed');
    expect(noticeFor(only, undefined, warning)).to.equal(undefined);
    expect(noticeFor(only, warning, critical)).to.equal('raised');
    expect(noticeFor(only, critical, warning)).to.equal('closed');
    expect(noticeFor(only, warning, undefined)).to.equal(undefined);
  });

  it('tells every channel ends for beginnings, in turn, whatever happens', () => {
    const trouble = fc.constantFrom(undefined, warning, critical, stale);
    const least = fc.constantFrom<Severity>('warning', 'unknown', 'critical');
    fc.assert(
      fc.property(fc.array(trouble), least, (troubles, minSeverity) => {
        let open = false;
        let before: Trouble | undefined;
        for (const after of [...troubles, undefined]) {
          const notice = noticeFor({ minSeverity }, before, after);
          if (notice === 'raised') expect(open).to.equal(false);
          if (notice === 'changed' || notice === 'closed') expect(open).to.equal(true);
          if (notice !== undefined) open = notice !== 'closed';
          before = after;
        }
        expect(open).to.equal(false);
      }),
      { seed: testSeed },
    );
  });

  it('joins what waits with what comes on top of it: who reads only the joined ones knows the same', () => {
    const trouble = fc.constantFrom(undefined, warning, critical, stale);
    const least = fc.constantFrom<Severity>('warning', 'unknown', 'critical');
    fc.assert(
      fc.property(fc.array(fc.tuple(trouble, fc.boolean())), least, (steps, minSeverity) => {
        let known = false; // As the receiver believes.
        let waiting: 'raised' | 'changed' | 'closed' | undefined;
        let before: Trouble | undefined;
        for (const [after, sent] of [...steps, [undefined, true] as const]) {
          const notice = noticeFor({ minSeverity }, before, after);
          before = after;
          if (notice) waiting = waiting ? joined(waiting, notice) : notice;
          if (!sent || !waiting) continue;
          expect(known, waiting).to.equal(waiting !== 'raised');
          known = waiting !== 'closed';
          waiting = undefined;
          expect(known).to.equal(after !== undefined && atLeast(after.severity, minSeverity));
        }
        expect(known).to.equal(false);
      }),
      { seed: testSeed },
    );
  });
});
