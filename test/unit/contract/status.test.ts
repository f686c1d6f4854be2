// Faults become statuses and statuses faults: the table, what is told, and above all what is not.
import { readdirSync, readFileSync } from 'node:fs';
import { Metadata, status as Status, type StatusObject } from '@grpc/grpc-js';
import { expect } from 'chai';
import { pino } from 'pino';
import { DETAILS_KEY, decodeDetails, encodeDetails, plainText } from '../../../src/contract/error-details.js';
import { type ApiCode, ApiFault, ContractFault } from '../../../src/contract/fault.js';
import { fromStatus, invalid, STATUS_TABLE, StatusTranslator } from '../../../src/contract/status.js';
import { type Duration, hours, milliseconds, seconds } from '../../../src/kernel/duration.js';
import { Fault } from '../../../src/kernel/fault.js';
import { silentLogger } from '../../../src/kernel/log.js';
import { seededRandom } from '../../support/seeded-random.js';

class OtherFault extends Fault<string> {}

const translator = (lines: string[] = []) => {
  const log = pino({}, { write: (line: string) => void lines.push(line) });
  return new StatusTranslator({ log, random: seededRandom(1) });
};

const detailsOf = (status: StatusObject) => decodeDetails(status.metadata.get(DETAILS_KEY)[0] as Buffer);
const reasonOf = (status: StatusObject) => detailsOf(status).reason;

describe('faults to statuses', () => {
  const api: [ApiCode, Status][] = [
    ['api.invalid', Status.INVALID_ARGUMENT],
    ['api.not-found', Status.NOT_FOUND],
    ['api.already-exists', Status.ALREADY_EXISTS],
    ['api.denied', Status.PERMISSION_DENIED],
    ['api.precondition', Status.FAILED_PRECONDITION],
    ['api.exhausted', Status.RESOURCE_EXHAUSTED],
    ['api.unavailable', Status.UNAVAILABLE],
    ['api.unauthenticated', Status.UNAUTHENTICATED],
  ];

  for (const [code, expected] of api) {
    it(`${code} is ${Status[expected]}`, () => {
      const status = translator().toStatus(new ApiFault(code, 'words', { advice: 'Do this.' }));
      expect(status).to.include({ code: expected, details: 'words. Do this.' });
      expect(reasonOf(status)).to.equal(code.toUpperCase().replace(/\W/g, '_'));
    });
  }

  it('name the field', () => {
    const fault = invalid('sensor.name', 'is empty');
    expect(fault.permanent).to.equal(true);
    expect(translator().toStatus(fault).details).to.equal('sensor.name: is empty');
  });

  it('hide everything that is not in the table, and log it with the number that the caller is told', () => {
    const lines: string[] = [];
    const cause = new Error('at /var/lib/secret');
    for (const thrown of [
      new Error('password=x', { cause }),
      new OtherFault('wal.odd', 'password=x'),
      'password=x',
      null,
    ]) {
      lines.length = 0;
      const status = translator(lines).toStatus(thrown);
      expect(status.code).to.equal(Status.INTERNAL);
      expect(JSON.stringify([status.details, detailsOf(status)])).to.not.match(/password|secret/);
      const incident = /incident ([0-9a-f]{10})/.exec(status.details)?.[1];
      expect(incident).to.be.a('string');
      expect(lines).to.have.length(1);
      expect(lines[0]).to.contain(incident);
      if (thrown !== null) expect(lines[0]).to.contain('password=x');
    }
  });

  it('say that a store which cannot be written is worth another try, but not why', () => {
    const lines: string[] = [];
    const status = translator(lines).toStatus(new OtherFault('storage.write-failed', 'ENOSPC /var/lib/occ'));
    expect(status.code).to.equal(Status.UNAVAILABLE);
    expect(status.details).to.not.contain('ENOSPC');
    expect(lines[0]).to.contain('ENOSPC');
  });

  it('take more codes, and overriding ones', () => {
    const more = new StatusTranslator(
      { log: silentLogger, random: seededRandom(1) },
      { 'hub.busy': Status.ABORTED, 'api.invalid': Status.OUT_OF_RANGE },
    );
    expect(more.toStatus(new OtherFault('hub.busy', 'x')).code).to.equal(Status.ABORTED);
    expect(more.toStatus(new ApiFault('api.invalid', 'x')).code).to.equal(Status.OUT_OF_RANGE);
  });

  it('survive texts that cannot be sent as they are', () => {
    const status = translator().toStatus(new ApiFault('api.invalid', `\ud800${'x'.repeat(5_000)}`));
    expect(() => encodeURI(status.details)).to.not.throw();
    expect(status.details.length).to.be.at.most(1_000);
    const odd = translator().toStatus(new ContractFault('contract.aborted', 'x', { reason: 'Zurück\n' }));
    expect(reasonOf(odd)).to.equal('ZUR_CK_');
  });

  it('know every code of the table: it is declared in some union of the sources', () => {
    const declared = new Set<string>();
    for (const file of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.ts') || file.endsWith('contract/status.ts')) continue;
      for (const [, code] of readFileSync(`src/${file}`, 'utf8').matchAll(/'([a-z]+\.[a-z-]+)'/g))
        declared.add(code ?? '');
    }
    for (const code of Object.keys(STATUS_TABLE)) expect(declared.has(code), code).to.equal(true);
  });
});

describe('statuses to faults', () => {
  const facts = { address: 'cloud.example:443' };
  const status = (code: Status, details = 'words', metadata = new Metadata()): StatusObject => ({
    code,
    details,
    metadata,
  });

  it('come back as what they were', () => {
    const sent = new ContractFault('contract.exhausted', 'too many', { reason: 'WHY', retryAfter: seconds(3) });
    const fault = fromStatus(translator().toStatus(sent), facts);
    expect(fault).to.include({ code: 'contract.exhausted', message: 'too many', reason: 'WHY', permanent: false });
    expect(fault.retryAfter).to.equal(3_000);
  });

  it('name the address and give advice when the server itself has said nothing', () => {
    const fault = fromStatus(status(Status.UNAVAILABLE), facts);
    expect(fault.message).to.equal('cloud.example:443: words');
    expect(fault.advice).to.contain('port');
    expect(fromStatus(status(Status.UNIMPLEMENTED), facts).advice).to.contain('Update');
  });

  it('prefer what the connection has found out', () => {
    const connection = new ContractFault('contract.untrusted-peer', 'somebody else');
    expect(fromStatus(status(Status.UNAVAILABLE), { ...facts, connection })).to.equal(connection);
    expect(fromStatus(status(Status.NOT_FOUND), { ...facts, connection }).code).to.equal('contract.not-found');
  });

  it('say whether trying again can help', () => {
    const permanent = (code: Status) => fromStatus(status(code), facts).permanent;
    for (const code of [Status.UNAVAILABLE, Status.ABORTED, Status.RESOURCE_EXHAUSTED, Status.UNKNOWN]) {
      expect(permanent(code), Status[code]).to.equal(false);
    }
    for (const code of [Status.INVALID_ARGUMENT, Status.PERMISSION_DENIED, Status.UNAUTHENTICATED]) {
      expect(permanent(code), Status[code]).to.equal(true);
    }
  });

  it('that are unknown are internal', () => {
    for (const code of [Status.UNKNOWN, Status.DATA_LOSS, Status.INTERNAL, 99]) {
      expect(fromStatus(status(code), facts).code).to.equal('contract.internal');
    }
  });
});

describe('the details of a status', () => {
  const encoded = (retryAfter: Duration | undefined) => encodeDetails(14, 'x', { reason: 'A', fields: [], retryAfter });

  it('carry a wait there and back', () => {
    for (const wait of [0, 1, 999, 1_000, 61_234]) {
      expect(decodeDetails(encoded(milliseconds(wait))).retryAfter).to.equal(wait);
    }
    expect(decodeDetails(encoded(undefined)).retryAfter).to.equal(undefined);
  });

  it('of other implementations are understood: their wait, but not their reasons', () => {
    // google.rpc.Status{code: 14, message: "x", details: [RetryInfo{retry_delay: 1.5s}]}
    const known =
      '080e120178' +
      '1a36' +
      `0a28${Buffer.from('type.googleapis.com/google.rpc.RetryInfo').toString('hex')}` +
      '120a0a0808011080cab5ee01';
    expect(decodeDetails(Buffer.from(known, 'hex'))).to.include({ reason: undefined, retryAfter: 1_500 });
    const foreign = Buffer.from(encoded(undefined).toString('latin1').replace('occ-mesh', 'else.com'), 'latin1');
    expect(decodeDetails(encoded(undefined)).reason).to.equal('A');
    expect(decodeDetails(foreign).reason).to.equal(undefined);
  });

  it('that are damaged, or absurd, are no instruction', () => {
    const nothing = { reason: undefined, fields: [], retryAfter: undefined };
    expect(decodeDetails(Buffer.from('ffffff', 'hex'))).to.deep.equal(nothing);
    expect(decodeDetails(Buffer.alloc(0))).to.deep.include(nothing);
    expect(decodeDetails(encoded(hours(24 * 365))).retryAfter).to.equal(86_400_000);
    expect(DETAILS_KEY).to.match(/-bin$/);
  });

  it('are cut between characters', () => {
    for (let bytes = 0; bytes <= 12; bytes++) {
      const cut = plainText('a漢é😀z', bytes);
      expect(Buffer.byteLength(cut)).to.be.at.most(bytes);
      expect('a漢é😀z'.startsWith(cut), cut).to.equal(true);
    }
    expect(plainText('a漢é😀z', 11)).to.equal('a漢é😀z');
  });
});
