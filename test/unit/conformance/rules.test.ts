// The rules of the conformance program: a cloud that keeps them all is found to, and each rule finds the cloud that breaks
// it. The fake knows link.v1 by src/link, the rules by the text of the contract: what both agree on is the contract.
import { expect } from 'chai';
import { EnrollmentToken } from '../../../gen/occmesh/enrollment/v1/enrollment.js';
import type { Bench, PlayedHub } from '../../../src/conformance/bench.js';
import type { Finding } from '../../../src/conformance/rule.js';
import { WATCHED } from '../../../src/conformance/rules/frames.js';
import { judge, RULES } from '../../../src/conformance/run.js';
import { loadDescriptors } from '../../../src/contract/descriptors.js';
import { uuidBytes } from '../../../src/identity/uuid.js';
import { systemClock } from '../../../src/kernel/clock.js';
import { epochMs, milliseconds } from '../../../src/kernel/duration.js';
import { type Cast, cast } from '../link/fixtures.js';
import { FakeEnrollment } from './fake-enrollment.js';
import { FakeTarget, type Flaw } from './fake-target.js';
import { fakeConnector } from './fake-trunk.js';

/** Which rule is there to find it. */
const FOUND_BY: Readonly<Record<Flaw, readonly string[]>> = {
  'same nonce': ['link.challenge.fresh'],
  'versions in any order': ['link.challenge.versions'],
  'another signs Welcome': ['link.welcome.signed'],
  'generation stands still': ['link.welcome.generation'],
  'no holdings': ['link.welcome.holdings'],
  'no heartbeat period': ['link.welcome.heartbeat'],
  'Hello unverified': ['link.hello.signature', 'link.hello.other-key', 'link.hello.replay'],
  'any machine id': ['link.hello.other-machine'],
  'any version': ['link.hello.version'],
  'any session key': ['link.hello.session-key'],
  'any nonce': ['link.hello.nonce'],
  'any number of logs': ['link.hello.logs'],
  'all capabilities': ['link.hello.capabilities'],
  'clocks must be right': ['link.hello.clock'],
  'Hello twice': ['link.hello.once'],
  'answers before Hello': ['link.hello.first'],
  'heartbeats answered twice': ['link.heartbeat.answered'],
  'MAC unverified': ['link.frame.mac', 'link.frame.no-mac', 'link.frame.other-direction'],
  'counter unverified': ['link.frame.hole', 'link.frame.replay'],
  'unknown fields refused': ['link.frame.unknown-field'],
  'unknown kinds passed over': ['link.frame.unknown-kind'],
  'garbage passed over': ['link.envelope.garbage', 'link.envelope.garbage-payload'],
  'any size': ['link.envelope.size'],
  'wrong lane': ['link.down.lane'],
  'wrong counters': ['link.down.counter'],
  'wrong MACs': ['link.down.mac'],
  'all pay for one': ['link.others'],
  'acknowledges early': ['link.ack.durable'],
  'acknowledges more': ['link.ack.what-was-sent'],
  'stores twice': ['link.batch.once'],
  'forgets at a cut': ['link.resume'],
  'batches unverified': ['link.batch.signature', 'link.batch.author'],
  'key id taken': ['link.batch.key-id'],
  'any lane': ['link.batch.lane'],
  'log guessed': ['link.batch.implied-log'],
  'last one wins': ['link.conflict'],
  'gaps lost': ['link.gap'],
  'gaps unverified': ['link.gap.signature'],
  'invents digests': ['link.digest'],
  'grants nothing': ['link.credit.granted'],
  'credit uncounted': ['link.credit.exceeded'],
  'two sessions': ['link.session.superseded'],
  'deaf to Bye': ['link.bye'],
  'no reason': ['link.end.reason'],
  'retired are welcome': ['link.revoked'],
  'another machine each time': ['enrollment.same-key'],
  'tokens without end': ['enrollment.used-up'],
  'any secret': ['enrollment.secret'],
  'any CSR': ['enrollment.proof'],
  'garbage is answered': ['enrollment.garbage'],
  'renewed for anybody': ['enrollment.renew'],
  'two trunks': ['trunk.newer'],
  'trunk garbage passed over': ['trunk.garbage'],
  'trunk without hello': ['trunk.hello'],
  'any trunk version': ['trunk.version'],
  'all trunk capabilities': ['trunk.welcome'],
  'trunk heartbeats miscounted': ['trunk.heartbeat'],
  'channels open by themselves': ['trunk.channel.unopened'],
  'crossing frames refused': ['trunk.channel.crossing'],
  'channel numbers again': ['trunk.channel.number'],
  'strangers are welcome': ['trunk.open.stranger'],
  'channels are silent': ['trunk.channel'],
  'trunk ends with a channel': ['trunk.channel.fault'],
};

const clock = { ...systemClock, now: () => epochMs(Date.UTC(2026, 0, 1)) };

describe('conformance: rules', () => {
  let who: Cast;
  before(async () => {
    who = await cast();
  });

  const played = ({ key, certificate }: Cast['hub']): PlayedHub => ({
    ...{ key, certificate: certificate.der, trust: who.trust, generation: 0, sealingKey: Buffer.alloc(32) },
    machineId: uuidBytes(certificate.identity.machineId),
  });

  /** What is found of a cloud with that flaw, by one rule; what is watched needs something to watch. */
  const findings = async (flaw?: Flaw, id?: string): Promise<Finding[]> => {
    const hub = played(who.hub);
    const enrollment = new FakeEnrollment(who.authority, hub, flaw);
    const target = new FakeTarget(who.cloud, enrollment, flaw);
    const token = EnrollmentToken.fromPartial(enrollment.token);
    const bench: Bench = {
      ...{ target, clock, api: target, token, seenBroken: new Map(), patience: milliseconds(flaw ? 60 : 5_000) },
      ...{ hub, witness: played(who.otherHub) },
      connector: fakeConnector(target, played(who.hub), who.connector.certificate.der),
    };
    const rules =
      id === undefined
        ? RULES
        : RULES.filter(
            (rule) => rule.id === id || (WATCHED.some((one) => one.id === id) && rule.id === 'link.frame.mac'),
          );
    const found: Finding[] = [];
    for await (const finding of judge(bench, rules)) found.push(finding);
    return found;
  };

  it('are kept by a cloud that keeps them', async () => {
    const found = await findings();
    expect(found.filter(({ outcome }) => outcome !== 'kept')).to.deep.equal([]);
  });

  for (const [flaw, ids] of Object.entries(FOUND_BY) as [Flaw, string[]][]) {
    for (const id of ids) {
      it(`${id} finds: ${flaw}`, async () => {
        const found = await findings(flaw, id);
        expect(found.find((finding) => finding.id === id)?.outcome, JSON.stringify(found)).to.equal('broken');
      });
    }
  }

  it('are all shown to find something', () => {
    const shown = new Set(Object.values(FOUND_BY).flat());
    const others = RULES.map(({ id }) => id).filter((id) => !shown.has(id));
    expect(others).to.deep.equal([]);
  });

  it('each have an id and a sentence of their own, and stand in the contract', () => {
    const elements = elementsOf();
    expect(new Set(RULES.map(({ id }) => id)).size).to.equal(RULES.length);
    for (const { id, promise, from } of RULES) {
      expect(promise, id).to.match(/^[A-Z].*\.$/);
      expect(elements.has(`occmesh.${from}`), `${id}: ${from}`).to.equal(true);
    }
  });
});

/** The full names of everything in the contract that can have a comment. */
function elementsOf(): Set<string> {
  const names = new Set<string>();
  for (const { messages, enums, services } of loadDescriptors().registry.files) {
    for (const { typeName, fields } of messages) {
      for (const { name } of fields) names.add(`${typeName}.${name}`);
      names.add(typeName);
    }
    for (const { typeName, values } of enums) {
      for (const { name } of values) names.add(`${typeName}.${name}`);
      names.add(typeName);
    }
    for (const { typeName, methods } of services) {
      for (const { name } of methods) names.add(`${typeName}.${name}`);
    }
  }
  return names;
}
