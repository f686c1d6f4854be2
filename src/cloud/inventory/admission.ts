// How a membership begins: recording whom a token lets in. One rule, verdict.ts, is asked twice: before certificates are
// issued, and again inside the transaction that takes a use of the token.
import type { MeshCertificate } from '../../identity/certificates.js';
import type { VerifyKey } from '../../identity/keys.js';
import { newId } from '../../identity/uuid.js';
import type { Clock } from '../../kernel/clock.js';
import type { Random } from '../../kernel/random.js';
import { MOST } from '../quotas.js';
import { notFound } from '../records/faults.js';
import type { Journal } from '../records/journal.js';
import { replacedKeysOf } from './machines.js';
import { type NewMember, newMachine, type Place, takeBack } from './members.js';
import { certificateFields, type EnrollmentTokenRecord, type MachineRecord } from './records.js';
import type { Revocations } from './revocations.js';
import { addSensors, type NewSensor } from './sensors.js';
import type { Tables } from './tables.js';
import { type Application, judge, type Refusal, type Verdict } from './verdict.js';

export type Admitted = { readonly kind: 'admitted'; readonly machines: readonly MachineRecord[] };

export interface AdmissionModules {
  readonly journal: Journal<Tables>;
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly random: Random;
}

export class Admission {
  readonly #tables: Tables;
  readonly #onReplaced = new Set<(machineId: string) => void>();

  constructor(
    private readonly options: { readonly defaultSensors: readonly NewSensor[]; readonly mostMachines?: number },
    private readonly modules: AdmissionModules,
  ) {
    this.#tables = modules.journal.tables;
  }

  /**
   * Lets the applicants in. The same keys get the same ids and their last certificate, however often they ask; that takes
   * one use of the token. (A certificate that has expired since is good enough to renew it.) `issue` makes a certificate; nothing is recorded if it fails. Faults: storage.*.
   */
  async admit(
    application: Application,
    issue: (place: Place, key: VerifyKey) => Promise<MeshCertificate>,
  ): Promise<Admitted | Refusal> {
    const first = this.#judge(application);
    if (first.kind === 'refused') return first;
    if (first.kind === 'known' && !first.newUse) {
      await this.#revokeReplaced(first.machines);
      return { kind: 'admitted', machines: first.machines };
    }
    const { clock, random, journal } = this.modules;
    const { customerId } = first.token;
    const places = application.applicants.map((applicant, i) => {
      const machineId = first.kind === 'returning' ? first.machines[i]?.id : newId(random, clock.now());
      return { applicant, place: { machineId: machineId ?? '', customerId, role: applicant.role } };
    });
    const members: NewMember[] = [];
    // A token's new use by keys that are members needs no certificates: they have theirs.
    for (const { applicant, place } of first.kind === 'known' ? [] : places) {
      members.push({ applicant, place, certificate: await issue(place, applicant.key) });
    }
    const outcome = await journal.transact((): Admitted | Refusal => {
      const verdict = this.#judge(application);
      if (verdict.kind === 'refused') return verdict;
      const { token } = verdict;
      if (verdict.kind === 'known') {
        if (verdict.newUse) {
          this.#tables.tokens.put({ ...token, used: token.used + 1 });
          for (const machine of verdict.machines) this.#tables.machines.put({ ...machine, enrolledBy: token.id });
        }
        return { kind: 'admitted', machines: verdict.machines };
      }
      this.#tables.tokens.put({ ...token, used: token.used + 1 });
      const { info } = application;
      if (verdict.kind === 'new') return { kind: 'admitted', machines: this.#record(members, token, info) };
      const now = clock.now();
      const machines = members.map((member) => {
        const old = this.#tables.machines.latest(member.place.machineId);
        if (!old) throw notFound('machine');
        return takeBack(this.#tables, old, member, token, info, now);
      });
      return { kind: 'admitted', machines };
    });
    if (outcome.kind === 'admitted') await this.#revokeReplaced(outcome.machines);
    return outcome;
  }

  /** Called with a machine's id when it has come back with other keys: whoever had the old ones is somebody else. */
  onReplaced(listener: (machineId: string) => void): () => void {
    this.#onReplaced.add(listener);
    return () => this.#onReplaced.delete(listener);
  }

  /** A crash before this is made good at the next start. */
  async #revokeReplaced(machines: readonly MachineRecord[]): Promise<void> {
    const { revocations } = this.modules;
    const replaced = machines.flatMap((machine) => replacedKeysOf(machine) ?? []);
    const fresh = replaced.filter(({ keyIds }) =>
      keyIds.some((keyId) => !revocations.hasKey(Buffer.from(keyId, 'hex'))),
    );
    if (fresh.length === 0) return;
    await revocations.add(fresh);
    for (const { replacedOf } of fresh) for (const listener of [...this.#onReplaced]) listener(replacedOf);
  }

  /** Notes the certificate that a machine got by renewal. Faults: inventory.not-found. */
  renewed(machineId: string, certificate: MeshCertificate): Promise<MachineRecord> {
    return this.modules.journal.transact(() => {
      const machine = this.#tables.machines.latest(machineId);
      if (!machine) throw notFound('machine');
      return this.#tables.machines.put({
        ...machine,
        ...certificateFields(certificate),
      });
    });
  }

  #record(members: readonly NewMember[], token: EnrollmentTokenRecord, info: MachineRecord['info']): MachineRecord[] {
    const now = this.modules.clock.now();
    for (const member of members) {
      const companion = members.find((other) => other !== member);
      const record = this.#tables.machines.put(newMachine(member, companion?.place.machineId, token, info, now));
      if (record.role === 'hub') addSensors(this.#tables, record, this.options.defaultSensors);
    }
    return members.flatMap(({ place }) => this.#tables.machines.latest(place.machineId) ?? []);
  }

  #judge(application: Application): Verdict {
    const { mostMachines = MOST.machines } = this.options;
    return judge(this.#tables, application, { ...this.modules, mostMachines });
  }
}
