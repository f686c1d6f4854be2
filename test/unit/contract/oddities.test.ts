// What whoever knocks can make a log grow by.
import { expect } from 'chai';
import { Oddities } from '../../../src/contract/oddities.js';
import { minutes } from '../../../src/kernel/duration.js';
import type { Logger } from '../../../src/kernel/log.js';
import { FakeClock } from '../../support/fake-clock.js';

describe('oddities', () => {
  it('are told in a few lines, which say how many there were, however many they are', async () => {
    const clock = new FakeClock();
    const lines: { level: string; unsaid?: number }[] = [];
    const at = (level: string) => (details: object) => void lines.push({ level, ...details });
    const log = { info: at('info'), error: at('error'), debug: () => undefined } as unknown as Logger;
    const oddities = new Oddities({ clock, log });
    for (let i = 0; i < 1_000; i++) oddities.note({}, 'somebody knocks');
    expect(lines).to.have.length(30);
    await clock.advance(minutes(1));
    oddities.note({}, 'somebody knocks', 'error');
    oddities.note({}, 'somebody knocks', 'error');
    expect(lines.slice(30)).to.deep.equal([{ level: 'error', unsaid: 970 }]);
  });
});
