// A cloud without network for the tests of inventory, enrolment and API: a store in memory, a data directory that is
// removed again, a real mesh CA, and machines that enrol as real ones do.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  EnrolAnswer,
  type EnrollmentToken,
  EnrolRequest,
  type IssuedIdentity,
  RenewAnswer,
  RenewRequest,
  Role,
} from '../../../../gen/occmesh/enrollment/v1/enrollment.js';
import { defaultSensors, secretsOf } from '../../../../src/cloud/api/sensor-settings.js';
import { EnrollmentService } from '../../../../src/cloud/enrollment/enrollment-service.js';
import { Inventory, type InventoryOptions } from '../../../../src/cloud/inventory/inventory.js';
import type { CustomerRecord, MachineRecord, MachineRole } from '../../../../src/cloud/inventory/records.js';
import { MeshAuthority } from '../../../../src/identity/authority.js';
import { createCsr } from '../../../../src/identity/csr.js';
import { sealRequest } from '../../../../src/identity/enrollment-envelope.js';
import { SigningKey } from '../../../../src/identity/keys.js';
import { SealingKeyPair, signSealingKey } from '../../../../src/identity/sealing-keys.js';
import { roleToProto } from '../../../../src/identity/spiffe.js';
import { uuidBytes, uuidText } from '../../../../src/identity/uuid.js';
import { silentLogger } from '../../../../src/kernel/log.js';
import { systemRandom } from '../../../../src/kernel/random.js';
import { MemoryStore } from '../../../../src/storage/memory.js';
import { FakeClock } from '../../../support/fake-clock.js';

export const PEER = { peer: '192.0.2.1:5000' };
const HOUR = 3_600_000;

export class TestCloud implements AsyncDisposable {
  enrollment: EnrollmentService;

  private constructor(
    readonly directory: string,
    readonly clock: FakeClock,
    readonly authority: MeshAuthority,
    readonly sealingKey: SealingKeyPair,
    public store: MemoryStore,
    public inventory: Inventory,
  ) {
    this.enrollment = this.#enrollment();
  }

  static async start(options: Pick<InventoryOptions, 'mostMachines'> = {}): Promise<TestCloud> {
    const clock = new FakeClock();
    const directory = await mkdtemp(join(tmpdir(), 'occ-inventory-'));
    const store = new MemoryStore();
    const authority = await MeshAuthority.create('occ.example', { clock, random: systemRandom });
    const inventory = await openInventory(directory, store, clock, options);
    return new TestCloud(directory, clock, authority, SealingKeyPair.generate(), store, inventory);
  }

  /** Restarts the cloud; with `backup` from that store instead of its own, as a restore does. */
  async restart(backup: MemoryStore = this.store.restarted()): Promise<void> {
    await this.inventory.stop();
    await this.store.stop();
    this.store = backup;
    this.inventory = await openInventory(this.directory, this.store, this.clock);
    this.enrollment = this.#enrollment();
  }

  customer(name: string): Promise<CustomerRecord> {
    return this.inventory.customers.create(name);
  }

  async token(customerId: string, role: MachineRole, uses = 1, lifetimeMs = HOUR): Promise<TokenSecret> {
    const { tokens } = this.inventory;
    const { token, secret } = await tokens.createEnrollment({ customerId, role, uses, lifetimeMs, name: '' });
    return { tokenId: uuidBytes(token.id), secret };
  }

  /** A machine that has enrolled with a token of its own. */
  async enrolled(customerId: string, role: MachineRole): Promise<Enrolled> {
    const machine = TestMachine.of(role);
    const identities = membership(await machine.enrol(this, await this.token(customerId, role)));
    const records = identities.map((identity) => this.machine(uuidText(identity.machineId)));
    const [record] = records;
    const [certificate] = identities.map((identity) => identity.certificate);
    if (!record || !certificate) throw new Error('not enrolled');
    return { machine, record, embedded: records[1], certificate };
  }

  machine(id: string): MachineRecord {
    const record = this.inventory.machines.get(id);
    if (!record) throw new Error(`no machine ${id}`);
    return record;
  }

  /** Everything that the store holds, keys and values, as one string of bytes. */
  async dump(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const { key, value } of this.store.entries({ from: Buffer.of(0), until: Buffer.alloc(40, 0xff) })) {
      parts.push(key, value);
    }
    return Buffer.concat(parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inventory.stop();
    await this.store.stop();
    await rm(this.directory, { recursive: true });
  }

  #enrollment(): EnrollmentService {
    const { inventory, authority, sealingKey, clock } = this;
    return new EnrollmentService(
      {},
      { inventory, authority, sealingKey, clock, random: systemRandom, log: silentLogger },
    );
  }
}

export type TokenSecret = Pick<EnrollmentToken, 'tokenId' | 'secret'>;

export interface Enrolled {
  readonly machine: TestMachine;
  /** Of a connector's token: the connector. */
  readonly record: MachineRecord;
  readonly embedded: MachineRecord | undefined;
  readonly certificate: Uint8Array;
}

/** A machine with its keys: one identity for a hub, two for a connector. */
export class TestMachine {
  hostname = 'srv1';

  private constructor(readonly identities: { role: MachineRole; key: SigningKey; sealing: SealingKeyPair }[]) {}

  static of(role: MachineRole): TestMachine {
    const roles: MachineRole[] = role === 'hub' ? ['hub'] : ['connector', 'hub'];
    return new TestMachine(
      roles.map((one) => ({ role: one, key: SigningKey.generate(), sealing: SealingKeyPair.generate() })),
    );
  }

  get key(): SigningKey {
    const [first] = this.identities;
    if (!first) throw new Error('no identity');
    return first.key;
  }

  async request(token: TokenSecret): Promise<EnrolRequest> {
    const identities = this.identities.map(async ({ role, key, sealing }) => ({
      role: roleToProto(role),
      csr: await createCsr(key),
      sealingKey: role === 'hub' ? sealing.publicKey : new Uint8Array(0),
      sealingKeySignature: role === 'hub' ? signSealingKey(key, sealing.publicKey) : new Uint8Array(0),
    }));
    return EnrolRequest.create({
      ...token,
      identities: await Promise.all(identities),
      info: { hostname: this.hostname },
    });
  }

  async enrol(cloud: TestCloud, token: TokenSecret): Promise<EnrolAnswer> {
    return sendEnrol(cloud, await this.request(token));
  }

  async renew(cloud: TestCloud, machineId: string, certificate: Uint8Array, key = this.key): Promise<RenewAnswer> {
    const request = { csr: await createCsr(key), machineId: uuidBytes(machineId), certificate };
    const content = RenewRequest.encode(request).finish();
    const sealed = await sealRequest(cloud.sealingKey.publicKey, 'Renew', content);
    return RenewAnswer.decode(await sealed.openAnswer(await cloud.enrollment.renew(sealed.sealed, PEER)));
  }
}

export async function sendEnrol(cloud: TestCloud, request: EnrolRequest): Promise<EnrolAnswer> {
  const sealed = await sealRequest(cloud.sealingKey.publicKey, 'Enrol', EnrolRequest.encode(request).finish());
  return EnrolAnswer.decode(await sealed.openAnswer(await cloud.enrollment.enrol(sealed.sealed, PEER)));
}

export function membership(answer: EnrolAnswer): IssuedIdentity[] {
  if (answer.result?.$case !== 'membership') throw new Error(`refused: ${JSON.stringify(answer.result?.value)}`);
  return answer.result.value.identities;
}

export function failure(answer: EnrolAnswer | RenewAnswer): number {
  if (answer.result?.$case !== 'failure') throw new Error('expected a failure, and there was none');
  if (answer.result.value.message.length < 10) throw new Error('a failure says why');
  return answer.result.value.code;
}

/** The code of the fault that a promise rejects with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (thrown) {
    return thrown instanceof Error && 'code' in thrown ? String(thrown.code) : String(thrown);
  }
  return 'no fault';
}

export { Role };

function openInventory(
  directory: string,
  store: MemoryStore,
  clock: FakeClock,
  options: Pick<InventoryOptions, 'mostMachines'> = {},
): Promise<Inventory> {
  const modules = { store, clock, random: systemRandom, log: silentLogger };
  return Inventory.open({ directory, defaultSensors: defaultSensors(), secretsOf, ...options }, modules);
}
