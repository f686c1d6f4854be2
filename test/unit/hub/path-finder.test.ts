// Which way a hub takes, and when: each rule of the network contract, in virtual time.
import { expect } from 'chai';
import { CloseCode } from '../../../gen/occmesh/trunk/v1/trunk.js';
import {
  type LiveSession,
  PATH_EDGES,
  PathFailure,
  PathFinder,
  type PathPolicy,
  type PathState,
  type Route,
} from '../../../src/hub/path-finder.js';
import { type Duration, hours, milliseconds, minutes, seconds } from '../../../src/kernel/duration.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { IllegalTransition, StateMachine } from '../../../src/kernel/machine.js';
import { type Ending, ending } from '../../../src/link/pipe.js';
import { FakeClock, settle } from '../../support/fake-clock.js';
import { seededRandom, testSeed } from '../../support/seeded-random.js';

class Session implements LiveSession {
  readonly ended: Promise<Ending>;
  #end: (why: Ending) => void = () => undefined;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  close(why: Ending): void {
    this.#end(why);
  }
}

/** A way that is there or not, as a test says. */
class FakeRoute implements Route {
  isThere = false;
  retryAfterMs = 0;
  /** Never answers. */
  hangs = false;
  readonly tries: Duration[] = [];
  session: Session | undefined;

  constructor(
    readonly name: string,
    private readonly clock: FakeClock,
    private readonly order: string[],
  ) {}

  async open(signal: AbortSignal): Promise<LiveSession> {
    this.tries.push(this.clock.monotonic());
    this.order.push(this.name);
    if (this.hangs) {
      await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    }
    if (!this.isThere) throw new PathFailure(ending(CloseCode.NO_CLOUD, 'not there', this.retryAfterMs));
    this.session = new Session();
    return this.session;
  }

  lose(retryAfterMs = 0): void {
    this.session?.close(ending(CloseCode.GOING_AWAY, 'lost', retryAfterMs));
  }
}

const log = silentLogger.child({});

describe(`hub: paths (seed ${testSeed})`, () => {
  let clock: FakeClock;
  let order: string[];
  let a: FakeRoute;
  let b: FakeRoute;
  let direct: FakeRoute;
  let policy: PathPolicy;
  let stop: AbortController;
  let running: Promise<void> | undefined;
  let finder: PathFinder;
  let connectors: () => AsyncIterable<Route>;

  beforeEach(() => {
    clock = new FakeClock();
    order = [];
    [a, b, direct] = [
      new FakeRoute('a', clock, order),
      new FakeRoute('b', clock, order),
      new FakeRoute('direct', clock, order),
    ];
    policy = { directAllowed: true, fallbackAfter: minutes(5) };
    stop = new AbortController();
    connectors = async function* () {
      yield a;
      yield b;
    };
    finder = new PathFinder({
      connectors: () => connectors(),
      direct,
      policy: () => policy,
      clock,
      random: seededRandom(testSeed),
      log,
    });
    running = undefined;
  });

  const start = async () => {
    running = finder.run(stop.signal);
    await settle();
  };

  afterEach(async () => {
    stop.abort();
    await running;
    if (running) expect(finder.state).to.equal('stopped');
    expect(clock.armed, 'timers after the stop').to.equal(0);
  });

  it('takes the first connector that is there, and tries nothing else', async () => {
    b.isThere = true;
    await start();
    expect(finder.state).to.equal('connector');
    await clock.advance(hours(1));
    expect(order).to.deep.equal(['a', 'b']);
  });

  it('says in its warning why the way that was tried last is none', async () => {
    const warned: object[] = [];
    const { warn } = log;
    log.warn = (about: object) => warned.push(about);
    try {
      connectors = async function* () {};
      await start();
      connectors = async function* () {
        yield a;
      };
      await clock.advance(minutes(30));
    } finally {
      log.warn = warn;
    }
    expect(warned[0], 'nothing was tried').to.deep.equal({ direct: 'tried when it is due' });
    expect(warned.at(-1)).to.have.property('last').that.contains('not there');
  });

  it('tries every connector before direct, in each round', async () => {
    await start();
    await clock.advance(minutes(30));
    expect(direct.tries.length).to.be.greaterThan(10);
    const rounds = order
      .join(' ')
      .split(/(?=a)/)
      .map((round) => round.trim());
    expect(new Set(rounds)).to.deep.equal(new Set(['a b', 'a b direct']));
  });

  it('goes direct when all connectors have been gone for fallbackAfter, and not before', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(milliseconds(minutes(5) - 1));
    expect([finder.state, direct.tries.length]).to.deep.equal(['searching', 0]);
    await clock.advance(milliseconds(1));
    expect(finder.state).to.equal('direct');
    expect(direct.tries).to.deep.equal([minutes(5)]);
  });

  it('counts fallbackAfter from the loss of the connector', async () => {
    [a.isThere, direct.isThere] = [true, true];
    await start();
    await clock.advance(hours(1));
    a.isThere = false;
    a.lose();
    await clock.advance(milliseconds(minutes(5) - 1));
    expect(finder.state).to.equal('searching');
    await clock.advance(milliseconds(1));
    expect(finder.state).to.equal('direct');
  });

  it('stays direct although connectors are there again', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(minutes(5));
    expect(finder.state).to.equal('direct');
    [a.isThere, b.isThere] = [true, true];
    const before = order.length;
    await clock.advance(hours(24));
    expect(finder.state).to.equal('direct');
    expect(order).to.have.length(before);
  });

  it('tries a lost direct path alone for fallbackAfter, then everything again, direct at once', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(minutes(5));
    await clock.advance(minutes(10));
    direct.isThere = false;
    const before = order.length;
    direct.lose();
    await settle();
    expect(finder.state).to.equal('redialing');
    await clock.advance(seconds(290));
    const alone = order.slice(before);
    expect(alone.length).to.be.greaterThan(5);
    expect(new Set(alone)).to.deep.equal(new Set(['direct']));
    await clock.advance(minutes(5));
    expect(finder.state).to.equal('searching');
    const later = order.slice(before + alone.length).filter((_, i, all) => all.slice(0, i + 1).includes('a'));
    expect(later.slice(0, 3)).to.deep.equal(['a', 'b', 'direct']);
    a.isThere = true;
    await clock.advance(minutes(2));
    expect(finder.state).to.equal('connector');
  });

  it('is direct again when that comes back, without asking connectors', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(minutes(6));
    a.isThere = true;
    const before = order.length;
    direct.lose();
    await clock.advance(seconds(2));
    expect(finder.state).to.equal('direct');
    expect(order.slice(before)).to.deep.equal(['direct']);
  });

  it('never dials direct where the policy forbids it', async () => {
    policy = { ...policy, directAllowed: false };
    direct.isThere = true;
    await start();
    await clock.advance(hours(24));
    expect(direct.tries).to.have.length(0);
    policy = { ...policy, directAllowed: true };
    await clock.advance(minutes(1));
    expect(finder.state).to.equal('direct');
  });

  it('leaves direct when that is no longer allowed, and does not dial it again', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(minutes(6));
    finder.reconsider();
    await settle();
    expect(finder.state).to.equal('direct');
    policy = { ...policy, directAllowed: false };
    finder.reconsider();
    await settle();
    expect(finder.state).to.equal('searching');
    const tries = direct.tries.length;
    await clock.advance(hours(1));
    expect(direct.tries).to.have.length(tries);
    expect(a.tries.length).to.be.greaterThan(10);
  });

  it('forgets a direct path that is forbidden while it is redialed', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(minutes(6));
    direct.isThere = false;
    direct.lose();
    await settle();
    policy = { ...policy, directAllowed: false };
    const tries = direct.tries.length;
    await clock.advance(minutes(10));
    expect(direct.tries).to.have.length(tries);
    expect(finder.state).to.equal('searching');
  });

  it('looks for a connector again when the cloud asks, and gives it fallbackAfter', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(minutes(6));
    finder.leaveDirect('the cloud asks');
    await settle();
    expect(finder.state).to.equal('searching');
    await clock.advance(seconds(290));
    expect(direct.tries).to.have.length(1);
    await clock.advance(seconds(10));
    expect(finder.state).to.equal('direct');
    finder.leaveDirect('once more');
    a.isThere = true;
    await clock.advance(seconds(2));
    expect(finder.state).to.equal('connector');
    finder.leaveDirect('not direct: nothing happens');
    expect(finder.state).to.equal('connector');
  });

  it('waits as long as the other side asks, by the longest of a round, though never longer than 5 min', async () => {
    policy = { ...policy, directAllowed: false };
    [a.retryAfterMs, b.retryAfterMs] = [20_000, 90_000];
    await start();
    await clock.advance(milliseconds(89_999));
    expect(a.tries).to.have.length(1);
    await clock.advance(milliseconds(1));
    expect(a.tries).to.have.length(2);
    b.retryAfterMs = 365 * 24 * 3_600_000;
    await clock.advance(milliseconds(90_000));
    const tries = a.tries.length;
    await clock.advance(minutes(5));
    expect(a.tries).to.have.length(tries + 1);
  });

  it('comes when it was told to, however often nobody was there before', async () => {
    policy = { ...policy, directAllowed: false };
    await start();
    await clock.advance(hours(1));
    a.retryAfterMs = 5_000;
    // The wait that had begun before.
    await clock.advance(minutes(1));
    const before = a.tries.length;
    await clock.advance(minutes(2));
    const told = a.tries.slice(before);
    expect(told).to.have.length(24);
    told.slice(1).forEach((at, i) => {
      expect(at - (told[i] ?? 0)).to.be.closeTo(5_000, 1);
    });
  });

  it('heeds the hint of a session that has ended, of a connector and of direct', async () => {
    a.isThere = true;
    await start();
    await clock.advance(minutes(1));
    a.lose(30_000);
    await clock.advance(milliseconds(29_999));
    expect(a.tries).to.have.length(1);
    await clock.advance(milliseconds(1));
    expect(a.tries).to.have.length(2);
    a.isThere = false;
    direct.isThere = true;
    a.lose();
    await clock.advance(minutes(7));
    expect(finder.state).to.equal('direct');
    const tries = direct.tries.length;
    direct.lose(120_000);
    await clock.advance(milliseconds(119_999));
    expect(direct.tries).to.have.length(tries);
    await clock.advance(milliseconds(1));
    expect(direct.tries).to.have.length(tries + 1);
  });

  it('waits at random, between nothing and a bound that grows to a minute', async () => {
    policy = { ...policy, directAllowed: false };
    await start();
    await clock.advance(hours(3));
    const waits = a.tries.slice(1).map((at, i) => at - (a.tries[i] ?? 0));
    waits.forEach((wait, i) => {
      expect(wait).to.be.within(0, Math.min(60_000, 1_000 * 1.6 ** i) + 1e-6);
    });
    const late = waits.slice(20);
    expect(Math.max(...late)).to.be.greaterThan(45_000);
    expect(Math.min(...late)).to.be.lessThan(15_000);
  });

  it('is not kept from other ways by a connector that comes and goes', async () => {
    [a.isThere, direct.isThere] = [true, true];
    await start();
    for (let s = 0; s < 330 && finder.state !== 'direct'; s++) {
      if (finder.state === 'connector') a.lose();
      await clock.advance(seconds(1));
    }
    expect(b.tries.length, 'the next connector gets its turn').to.be.greaterThan(3);
    expect(finder.state).to.equal('direct');
    expect(a.tries.length, 'with waits that grow').to.be.lessThan(60);
  });

  it('returns to connectors from a direct path that comes and goes', async () => {
    direct.isThere = true;
    await start();
    await clock.advance(minutes(5));
    a.isThere = true;
    for (let s = 0; s < 400 && finder.state !== 'connector'; s++) {
      if (finder.state === 'direct') direct.lose();
      await clock.advance(seconds(1));
    }
    expect(finder.state).to.equal('connector');
  });

  it('goes on when the search for connectors itself fails', async () => {
    direct.isThere = true;
    let searches = 0;
    connectors = async function* () {
      searches += 1;
      yield a;
      throw new Error('no network interface');
    };
    await start();
    await clock.advance(minutes(5));
    expect(searches).to.be.greaterThan(3);
    expect(finder.state).to.equal('direct');
  });

  for (const [when, prepare] of [
    [
      'a way is tried',
      async () => {
        a.hangs = true;
        await start();
      },
    ],
    ['it waits', async () => start()],
    [
      'a connector is up',
      async () => {
        a.isThere = true;
        await start();
      },
    ],
    [
      'direct is up',
      async () => {
        direct.isThere = true;
        await start();
        await clock.advance(minutes(5));
      },
    ],
    [
      'direct is redialed',
      async () => {
        direct.isThere = true;
        await start();
        await clock.advance(minutes(6));
        direct.isThere = false;
        direct.lose();
        await settle();
      },
    ],
  ] as const) {
    it(`leaves no timer and no session behind when it is stopped while ${when}`, async () => {
      await prepare();
      stop.abort();
      await running;
      expect(clock.armed).to.equal(0);
      for (const { session } of [a, b, direct]) {
        if (session) expect((await session.ended).code).to.be.oneOf([CloseCode.GOING_AWAY]);
      }
      const { length } = order;
      await clock.advance(hours(1));
      expect(order).to.have.length(length);
    });
  }

  it('closes a session that comes up just when it is stopped', async () => {
    a.isThere = true;
    const open = a.open.bind(a);
    a.open = async (signal) => {
      const session = await open(signal);
      stop.abort();
      return session;
    };
    await start();
    await running;
    expect(finder.state).to.equal('stopped');
    expect((await a.session?.ended)?.code).to.equal(CloseCode.GOING_AWAY);
  });

  it('has no edge besides its table', () => {
    const states = Object.keys(PATH_EDGES) as PathState[];
    expect(states).to.have.length(5);
    for (const from of states) {
      for (const to of states) {
        const machine = new StateMachine<PathState>('path', PATH_EDGES, from);
        if (PATH_EDGES[from].includes(to)) expect(() => machine.to(to)).not.to.throw();
        else expect(() => machine.to(to), `${from} → ${to}`).to.throw(IllegalTransition);
      }
    }
  });
});
