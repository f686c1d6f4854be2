// Discovery over real multicast, on loopback. Sockets are real; time is real only where a search has to last.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { NetworkInterfaceInfo } from 'node:os';
import { expect } from 'chai';
import { INTERFACE_CHECK, SsdpAnnouncer } from '../../src/discovery/announcer.js';
import { type ConnectorHint, formatAddress } from '../../src/discovery/hint.js';
import { MAX_HINTS_PER_SOURCE, SsdpSearcher } from '../../src/discovery/searcher.js';
import { CONNECTOR_TYPE, SSDP_GROUP, SSDP_PORT } from '../../src/discovery/ssdp-protocol.js';
import { type Clock, systemClock } from '../../src/kernel/clock.js';
import { milliseconds, minutes, seconds } from '../../src/kernel/duration.js';
import { silentLogger } from '../../src/kernel/log.js';
import type { Random } from '../../src/kernel/random.js';
import { Scope } from '../../src/kernel/scope.js';
import { FakeClock } from '../support/fake-clock.js';
import { seededRandom, testSeed } from '../support/seeded-random.js';

const LOOPBACK = '127.0.0.1';
const SEARCH = milliseconds(400);
/** No waits before answers, so that a fake clock has to be moved by nothing at all to send them. */
const atOnce: Random = { uniform: () => 0, bytes: (length) => Buffer.alloc(length) };
const never = new AbortController().signal;

interface Heard {
  readonly text: string;
  readonly from: RemoteInfo;
}

/** A plain UDP socket on loopback: a stranger that hears multicast, asks and answers. */
class Stranger {
  readonly heard: Heard[] = [];
  readonly #waiting = new Set<() => void>();
  private constructor(readonly socket: Socket) {
    socket.on('message', (datagram, from) => {
      this.heard.push({ text: datagram.toString('latin1'), from });
      for (const look of this.#waiting) look();
    });
  }

  static async at(
    scope: Scope,
    port: number,
    { reuseAddr = true, address }: { reuseAddr?: boolean; address?: string } = {},
  ): Promise<Stranger> {
    const socket = createSocket({ type: 'udp4', reuseAddr });
    socket.bind(address === undefined ? { port } : { port, address });
    await once(socket, 'listening');
    socket.addMembership(SSDP_GROUP, LOOPBACK);
    socket.setMulticastInterface(address ?? LOOPBACK);
    scope.defer(async () => {
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    });
    return new Stranger(socket);
  }

  send(text: string | Buffer, port: number, host = SSDP_GROUP): Promise<void> {
    return new Promise((resolve, reject) =>
      this.socket.send(text, port, host, (error) => (error ? reject(error) : resolve())),
    );
  }

  /** Calls `action` with whoever asks; not for other datagrams, of which its own answers might be some. */
  onQuestion(action: (from: RemoteInfo) => void): void {
    this.socket.on('message', (datagram, from) => {
      if (datagram.toString('latin1').startsWith('M-SEARCH')) action(from);
    });
  }

  /** The first `count` datagrams that fit, as soon as there are that many. */
  async until(count: number, fits: (text: string) => boolean): Promise<Heard[]> {
    for (;;) {
      const found = this.heard.filter(({ text }) => fits(text));
      if (found.length >= count) return found;
      await new Promise<void>((resolve) => {
        const look = () => {
          this.#waiting.delete(look);
          resolve();
        };
        this.#waiting.add(look);
      });
    }
  }
}

const question = (target: string, more: Record<string, string> = {}) => {
  const headers = { HOST: `${SSDP_GROUP}:1900`, MAN: '"ssdp:discover"', MX: '1', ST: target, ...more };
  return `M-SEARCH * HTTP/1.1\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;
};
const reply = (location: string, machine = 'rogue') =>
  `HTTP/1.1 200 OK\r\nST: ${CONNECTOR_TYPE}\r\nUSN: uuid:${machine}::${CONNECTOR_TYPE}\r\nEXT: \r\nLOCATION: ${location}\r\n\r\n`;
const isAnswer = (text: string) => text.startsWith('HTTP/1.1 200 OK\r\n');
const isAlive = (text: string) => text.startsWith('NOTIFY') && text.includes('NTS: ssdp:alive\r\n');
const isByebye = (text: string) => text.startsWith('NOTIFY') && text.includes('NTS: ssdp:byebye\r\n');
const shown = (hints: readonly ConnectorHint[]) =>
  hints.map((hint) => `${hint.machineId} ${formatAddress(hint)}`).sort();

describe('discovery on loopback', () => {
  let scope: Scope;
  let ssdpPort: number;
  const random = seededRandom(testSeed);

  before(() => process.stderr.write(`  seed ${testSeed}\n`));
  beforeEach(async () => {
    scope = new Scope();
    // A port that is free now; not 1900, so that runs side by side do not hear each other.
    const probe = createSocket('udp4');
    probe.bind(0, LOOPBACK);
    await once(probe, 'listening');
    ssdpPort = probe.address().port;
    await new Promise<void>((resolve) => probe.close(resolve));
  });
  afterEach(() => scope.stop());

  const announce = async (machineId: string, port: number, more: { clock?: Clock; ssdpPort?: number } = {}) => {
    const announcer = new SsdpAnnouncer(
      { machineId, port, interfaces: ['lo'], ssdpPort: more.ssdpPort ?? ssdpPort, notifyEvery: minutes(5) },
      { clock: more.clock ?? systemClock, random: atOnce, log: silentLogger, interfaces: loopbackAsLo },
    );
    await scope.own(announcer).start();
    return announcer;
  };
  const searcher = (port = ssdpPort) =>
    new SsdpSearcher(
      { interfaces: ['lo'], ssdpPort: port },
      { clock: systemClock, random, log: silentLogger, interfaces: loopbackAsLo },
    );

  it('finds a connector', async () => {
    await announce('connector-1', 11_000);
    expect(await searcher().search(SEARCH, never)).to.deep.equal([
      { host: LOOPBACK, port: 11_000, source: 'ssdp', machineId: 'connector-1' },
    ]);
  });

  it('finds two connectors, and only the one that is left after the other stopped', async () => {
    await announce('connector-1', 11_001);
    const second = await announce('connector-2', 11_002);
    expect(shown(await searcher().search(SEARCH, never))).to.deep.equal([
      'connector-1 127.0.0.1:11001',
      'connector-2 127.0.0.1:11002',
    ]);
    await second.stop();
    expect(shown(await searcher().search(SEARCH, never))).to.deep.equal(['connector-1 127.0.0.1:11001']);
  });

  it('works on the real port beside whatever else listens there', async function () {
    try {
      await Stranger.at(scope, SSDP_PORT);
    } catch {
      this.skip(); // somebody holds it without sharing
    }
    await announce('connector-1900', 11_000, { ssdpPort: SSDP_PORT });
    expect(shown(await searcher(SSDP_PORT).search(SEARCH, never))).to.include('connector-1900 127.0.0.1:11000');
  });

  it('ends a search without answers on time', async () => {
    const clock = new FakeClock();
    const quiet = new SsdpSearcher(
      { interfaces: ['lo'], ssdpPort },
      { clock, random: atOnce, log: silentLogger, interfaces: loopbackAsLo },
    );
    const neighbour = await Stranger.at(scope, ssdpPort);
    let ended = false;
    const searching = quiet.search(seconds(4), never).finally(() => {
      ended = true;
    });
    for (const step of [1, 1, 2]) {
      await clock.untilArmed();
      expect(ended).to.equal(false);
      await clock.advance(seconds(step));
    }
    expect(await searching).to.deep.equal([]);
    const asked = await neighbour.until(3, (text) => text.startsWith('M-SEARCH * HTTP/1.1\r\n'));
    expect(asked[0]?.text).to.include(`ST: ${CONNECTOR_TYPE}\r\n`).and.include('MAN: "ssdp:discover"\r\nMX: 1\r\n');
    expect(clock.armed).to.equal(0);
  });

  it('ends a search at once when told to, or when there is no interface', async () => {
    const abort = new AbortController();
    const clock = new FakeClock();
    const reason = new Error('stopping');
    const interfaces = loopbackAsLo;
    const aborted = new SsdpSearcher({ interfaces: ['lo'], ssdpPort }, { clock, random, log: silentLogger, interfaces })
      .search(seconds(4), abort.signal)
      .catch((thrown: unknown) => thrown);
    await clock.untilArmed();
    abort.abort(reason);
    expect(await aborted).to.equal(reason);
    expect(clock.armed).to.equal(0);
    const nowhere = new SsdpSearcher({ interfaces: ['none'] }, { clock, random, log: silentLogger, interfaces });
    expect(await nowhere.search(seconds(4), never)).to.deep.equal([]);
  });

  it('believes no rogue: foreign addresses, names, wrong ports and oversized answers', async () => {
    await announce('connector-1', 11_000);
    const rogue = await Stranger.at(scope, ssdpPort);
    rogue.onQuestion((from) => {
      for (const location of ['https://198.51.100.1:11000/', 'https://evil.example:1/', 'https://127.0.0.1:99999/']) {
        void rogue.send(reply(location), from.port, from.address);
      }
      void rogue.send(reply('https://127.0.0.2:1/').replace('EXT: ', `EXT: ${'x'.repeat(2_048)}`), from.port, LOOPBACK);
      // The control: the same answer, believable.
      void rogue.send(reply('https://127.0.0.3:1/', 'believed'), from.port, from.address);
    });
    expect(shown(await searcher().search(SEARCH, never))).to.deep.equal([
      'believed 127.0.0.3:1',
      'connector-1 127.0.0.1:11000',
    ]);
  });

  it('keeps few hints of a flood, and stays able to hear', async () => {
    const rogue = await Stranger.at(scope, ssdpPort);
    let port = 0;
    rogue.onQuestion((from) => {
      for (let i = 0; i < 300; i++) void rogue.send(reply(`https://127.0.0.1:${++port}/`), from.port, from.address);
    });
    expect(await searcher().search(SEARCH, never)).to.have.length(MAX_HINTS_PER_SOURCE);
    expect(port).to.be.at.least(300);
  });

  it('announces itself as a device does, twice, then regularly', async () => {
    const clock = new FakeClock();
    const neighbour = await Stranger.at(scope, ssdpPort);
    await announce('connector-1', 11_000, { clock });
    await clock.advance(milliseconds(0));
    const first = await neighbour.until(3, isAlive);
    expect(first.map(({ text }) => /^USN: (.*)\r$/m.exec(text)?.[1]).sort()).to.deep.equal(
      ['uuid:connector-1', `uuid:connector-1::upnp:rootdevice`, `uuid:connector-1::${CONNECTOR_TYPE}`].sort(),
    );
    for (const { text, from } of first) {
      expect(from.address).to.equal(LOOPBACK);
      expect(text).to.include('\r\nLOCATION: https://127.0.0.1:11000/\r\n').and.include(`HOST: ${SSDP_GROUP}`);
      expect(text).not.to.match(/node/i);
    }
    await clock.advance(seconds(1));
    await neighbour.until(6, isAlive);
    await clock.advance(minutes(5));
    await neighbour.until(9, isAlive);
  });

  it('says goodbye when it stops, and leaves no timer', async () => {
    const clock = new FakeClock();
    const neighbour = await Stranger.at(scope, ssdpPort);
    const announcer = await announce('connector-1', 11_000, { clock });
    expect(neighbour.heard.filter(({ text }) => isByebye(text))).to.deep.equal([]);
    await announcer.stop();
    const bye = await neighbour.until(3, isByebye);
    expect(bye.map(({ text }) => text).join('')).to.include(`USN: uuid:connector-1::${CONNECTOR_TYPE}\r\n`);
    expect(clock.armed).to.equal(0);
    await announcer.stop();
  });

  it('may be stopped before it was started', async () => {
    const clock = new FakeClock();
    const announcer = new SsdpAnnouncer(
      { machineId: 'a', port: 1, notifyEvery: minutes(5) },
      { clock, random, log: silentLogger, interfaces: loopbackAsLo },
    );
    await announcer.stop();
    await announcer.start();
    expect(clock.armed).to.equal(0);
    expect(announcer.addresses).to.deep.equal([]);
  });

  for (const [target, count] of [
    [CONNECTOR_TYPE, 1],
    ['ssdp:all', 3],
    ['upnp:rootdevice', 1],
    ['uuid:connector-1', 1],
  ] as const) {
    it(`answers a search for ${target}`, async () => {
      await announce('connector-1', 11_000);
      const asker = await Stranger.at(scope, 0);
      await asker.send(question(target), ssdpPort);
      const answers = await asker.until(count, isAnswer);
      expect(answers).to.have.length(count);
      for (const { text } of answers) {
        expect(text)
          .to.include('\r\nLOCATION: https://127.0.0.1:11000/\r\n')
          .and.match(/CACHE-CONTROL: max-age=1800/);
      }
    });
  }

  it('gives each subnet the address of its own interface, once', async () => {
    // Two subnets that both lead to loopback: every socket hears every search, as it does with two network cards.
    const subnets = ['127.0.0.1', '127.0.1.1'];
    const interfaces = () => ({ lo: subnets.flatMap((address) => loopbackAs(address, '255.255.255.0')) });
    const clock = new FakeClock();
    const announcer = new SsdpAnnouncer(
      { machineId: 'connector-1', port: 11_000, interfaces: ['lo'], ssdpPort, notifyEvery: minutes(5) },
      { clock, random: atOnce, log: silentLogger, interfaces },
    );
    await scope.own(announcer).start();
    expect(announcer.addresses).to.deep.equal(subnets);
    for (const address of subnets) {
      const asker = await Stranger.at(scope, 0, { address: address.replace(/1$/, '9') });
      await asker.send(question(CONNECTOR_TYPE), ssdpPort);
      await asker.send(question('upnp:rootdevice'), ssdpPort);
      await answered(clock, asker, 2);
      expect(asker.heard).to.have.length(2);
      for (const { text } of asker.heard) expect(text).to.include(`LOCATION: https://${address}:11000/\r\n`);
    }
  });

  it('survives what no device should be asked, and answers none of it', async () => {
    const clock = new FakeClock();
    await announce('connector-1', 11_000, { clock });
    const asker = await Stranger.at(scope, 0);
    const nonsense = [
      question('*'),
      question('urn:*(['),
      question('urn:occ-mesh:service:*'),
      question('__proto__'),
      question('constructor'),
      question(CONNECTOR_TYPE, { MAN: 'x' }),
      question(CONNECTOR_TYPE, { MX: 'soon' }),
      question(CONNECTOR_TYPE, { FILLER: 'x'.repeat(2_048) }),
      question('x'.repeat(1_900)),
      question('\x00\x1b[31m'),
      '',
      '\r\n\r\n',
      'NOTIFY * HTTP/1.1\r\nNTS: \r\n\r\n',
      'HTTP/1.1 200 OK\r\n\r\n',
      Buffer.alloc(2_000, 0xff),
    ];
    for (const each of nonsense) await asker.send(each, ssdpPort);
    // The control comes last, and is the only one that is answered.
    await asker.send(question(CONNECTOR_TYPE), ssdpPort);
    await answered(clock, asker, 1);
    expect(asker.heard).to.have.length(1);
  });

  it('answers one source five times in a second', async () => {
    const clock = new FakeClock();
    await announce('connector-1', 11_000, { clock });
    const asker = await Stranger.at(scope, 0);
    for (let i = 0; i < 30; i++) await asker.send(question('uuid:connector-1'), ssdpPort);
    await answered(clock, asker, 5);
    await clock.advance(seconds(1));
    await asker.send(question(CONNECTOR_TYPE), ssdpPort);
    await answered(clock, asker, 6);
    expect(asker.heard.filter(({ text }) => text.includes(`ST: ${CONNECTOR_TYPE}`))).to.have.length(1);
    expect(asker.heard.filter(({ text }) => isAnswer(text))).to.have.length(6);
  });

  it('starts without the port, and takes it as soon as it is free', async () => {
    const clock = new FakeClock();
    const blocking = new Scope();
    await Stranger.at(blocking, ssdpPort, { reuseAddr: false });
    const announcer = await announce('connector-1', 11_000, { clock });
    expect(announcer.addresses).to.deep.equal([]);
    await blocking.stop();
    await clock.advance(INTERFACE_CHECK);
    await announcer.refresh();
    expect(announcer.addresses).to.deep.equal([LOOPBACK]);
  });

  it('follows the interfaces as they come and go', async () => {
    const neighbour = await Stranger.at(scope, ssdpPort);
    let present: NodeJS.Dict<NetworkInterfaceInfo[]> = {};
    const announcer = scope.own(
      new SsdpAnnouncer(
        { machineId: 'connector-1', port: 11_000, interfaces: ['lo'], ssdpPort, notifyEvery: minutes(5) },
        { clock: new FakeClock(), random: atOnce, log: silentLogger, interfaces: () => present },
      ),
    );
    await announcer.start();
    expect(announcer.addresses).to.deep.equal([]);
    present = loopbackAsLo();
    await announcer.refresh();
    expect(announcer.addresses).to.deep.equal([LOOPBACK]);
    await announcer.refresh();
    expect(neighbour.heard.filter(({ text }) => isByebye(text))).to.deep.equal([]);
    present = {};
    await announcer.refresh();
    expect(announcer.addresses).to.deep.equal([]);
    await neighbour.until(3, isByebye);
  });
});

/** Lets answers go out (their wait is zero) until `count` have come back. */
async function answered(clock: FakeClock, asker: Stranger, count: number): Promise<void> {
  const arrived = asker.until(count, isAnswer);
  let waiting = true;
  void arrived.then(() => {
    waiting = false;
  });
  while (waiting) await clock.advance(milliseconds(0));
}

/** One more address of the loopback interface; all of 127.0.0.0/8 leads there (on Linux without further ado). */
function loopbackAs(address: string, netmask: string): NetworkInterfaceInfo[] {
  return [{ address, netmask, family: 'IPv4', internal: true, mac: '00:00:00:00:00:00', cidr: null }];
}

/** The loopback interface, which has another name on other systems. */
function loopbackAsLo(): NodeJS.Dict<NetworkInterfaceInfo[]> {
  return { lo: loopbackAs(LOOPBACK, '255.0.0.0') };
}
