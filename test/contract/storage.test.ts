// Runs the store suite against every implementation.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '../../src/kernel/log.js';
import { LevelStore } from '../../src/storage/level.js';
import { MemoryStore } from '../../src/storage/memory.js';
import { LevelFailures } from '../support/level-failures.js';
import { type StoreUnderTest, storeSuite } from './store-suite.js';

function memory(store: MemoryStore): StoreUnderTest {
  return {
    store,
    writes: () => store.writes,
    failNextWrite: () => store.failNextWrite(),
    failNextReopen: (count) => store.failNextReopen(count),
    restart: async () => {
      await store.stop();
      return memory(store.restarted());
    },
  };
}

async function level(directory: string): Promise<StoreUnderTest> {
  const failures = new LevelFailures();
  const store = await LevelStore.open({ directory }, { log: silentLogger, newLevel: failures.newLevel });
  return {
    store,
    writes: () => store.writes,
    failNextWrite: (how) => failures.failNextWrite(how),
    failNextReopen: (count) => failures.failNextReopen(count),
    restart: async () => {
      await store.stop();
      return level(directory);
    },
  };
}

storeSuite('MemoryStore', async () => memory(new MemoryStore()));

describe('LevelStore', () => {
  let root: string;
  let stores = 0;
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'store-suite-'));
  });
  after(() => rm(root, { recursive: true }));
  storeSuite('LevelStore', () => level(join(root, String(stores++))));
});
