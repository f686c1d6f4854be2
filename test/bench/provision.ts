// Mesh data directories made offline, before anything runs: a cloud that knows its customers, connectors and hubs, and
// the memberships of those. Everything is made by the program's own code, with real keys and certificates; what is left
// out is only the sealed request on its way from machine to cloud. Hubs begin without sensors.
//
//   <directory>/cloud                     occ cloud --data
//   <members>/customer-<n>/connector-<c>  occ connector --data (its embedded hub is counted nowhere)
//   <members>/customer-<n>/hub-<h>        occ hub --data
import { join } from 'node:path';
import { cloudPaths, openNodeKeys } from '../../src/cloud/cloud-files.js';
import { Inventory } from '../../src/cloud/inventory/inventory.js';
import type { MachineRole } from '../../src/cloud/inventory/records.js';
import type { Applicant } from '../../src/cloud/inventory/verdict.js';
import type { MeshAuthority } from '../../src/identity/authority.js';
import { openAuthority } from '../../src/identity/authority-folder.js';
import { MeshCertificate } from '../../src/identity/certificates.js';
import { signSealingKey } from '../../src/identity/sealing-keys.js';
import type { Clock } from '../../src/kernel/clock.js';
import { days } from '../../src/kernel/duration.js';
import type { Logger } from '../../src/kernel/log.js';
import type { Random } from '../../src/kernel/random.js';
import { ensureKeys, saveMembership } from '../../src/membership/machine-files.js';
import { LevelStore } from '../../src/storage/level.js';
import { inParallel } from './parallel.js';

export interface CustomerPlan {
  readonly connectors: number;
  readonly hubs: number;
  /** Connectors (host:port) that the hubs were told by hand, as their token would have. Default: none. */
  readonly knownConnectors?: readonly string[];
  /** May its hubs connect to the cloud themselves? Default: no. */
  readonly directAllowed?: boolean;
}

export interface MeshPlan {
  readonly customers: readonly CustomerPlan[];
  readonly mesh: string;
  /** host:port, as machines will reach the cloud. */
  readonly cloudAddress: string;
  /** Where connectors and hubs are made; default: in the same directory as the cloud. */
  readonly membersIn?: string;
}

export interface ProvisionModules {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export interface ProvisionedHub {
  readonly directory: string;
  readonly machineId: string;
}

export interface ProvisionedCustomer {
  readonly id: string;
  readonly connectors: readonly string[];
  readonly hubs: readonly ProvisionedHub[];
}

export interface Provisioned {
  readonly cloud: string;
  readonly customers: readonly ProvisionedCustomer[];
}

/** So many share a synced write of the store; more would only make each transaction look through more neighbours. */
const AT_ONCE = 64;

export async function provision(directory: string, plan: MeshPlan, modules: ProvisionModules): Promise<Provisioned> {
  const cloud = join(directory, 'cloud');
  const { enrollment } = await openNodeKeys(cloud, modules);
  const paths = cloudPaths(cloud);
  const authority = await openAuthority(paths.authority, plan.mesh, modules);
  const store = await LevelStore.open({ directory: paths.store }, modules);
  const inventory = await Inventory.open(
    { directory: cloud, defaultSensors: [], secretsOf: () => undefined },
    { ...modules, store },
  );
  try {
    const office = new Office(inventory, authority, enrollment.publicKey, plan.cloudAddress, modules);
    const customers: ProvisionedCustomer[] = [];
    for (const [i, customer] of plan.customers.entries()) {
      customers.push(
        await office.customer(join(plan.membersIn ?? directory, `customer-${i}`), `customer ${i}`, customer),
      );
    }
    return { cloud, customers };
  } finally {
    await inventory.stop();
    await store.stop();
  }
}

/** A token whose uses are all of a customer's machines of one role. */
interface Pass {
  readonly tokenId: string;
  readonly secret: Uint8Array;
  readonly knownConnectors: readonly string[];
}

/** Both ends of enrolment in one place. */
class Office {
  constructor(
    private readonly inventory: Inventory,
    private readonly authority: MeshAuthority,
    private readonly enrollmentKey: Uint8Array,
    private readonly cloudAddress: string,
    private readonly modules: ProvisionModules,
  ) {}

  async customer(directory: string, name: string, plan: CustomerPlan): Promise<ProvisionedCustomer> {
    const { directAllowed = false, knownConnectors = [] } = plan;
    const { id } = await this.inventory.customers.create(name);
    await this.inventory.customers.update(id, { directAllowed });
    const hubPass = await this.#pass(id, 'hub', plan.hubs, knownConnectors);
    const connectorPass = await this.#pass(id, 'connector', plan.connectors, []);
    const connectors = await inParallel(AT_ONCE, plan.connectors, async (i) => {
      const data = join(directory, `connector-${i}`);
      await this.#enrol(connectorPass, { connector: join(data, 'connector'), hub: join(data, 'hub') });
      return data;
    });
    const hubs = await inParallel(AT_ONCE, plan.hubs, async (i) => {
      const data = join(directory, `hub-${i}`);
      const [machineId = ''] = await this.#enrol(hubPass, { hub: data });
      return { directory: data, machineId };
    });
    return { id, connectors, hubs };
  }

  async #pass(customerId: string, role: MachineRole, count: number, knownConnectors: readonly string[]): Promise<Pass> {
    const wanted = { customerId, role, uses: Math.max(1, count), lifetimeMs: days(1), name: 'bench' };
    const { token, secret } = await this.inventory.tokens.createEnrollment(wanted);
    return { tokenId: token.id, secret, knownConnectors };
  }

  /** Resolves with the ids of the machines, in the order of `directories`. */
  async #enrol(pass: Pass, directories: { readonly [R in MachineRole]?: string }): Promise<string[]> {
    const applicants: Applicant[] = [];
    for (const [role, directory] of Object.entries(directories) as [MachineRole, string][]) {
      const { identity, sealing } = await ensureKeys(directory);
      const { publicKey } = sealing;
      const statement = role === 'hub' ? { key: publicKey, signature: signSealingKey(identity, publicKey) } : undefined;
      applicants.push({ role, key: identity.publicKey, sealing: statement });
    }
    const info = { hostname: '', os: 'linux', osVersion: '1', arch: 'x64', fingerprint: '', software: 'bench' };
    const { tokenId, secret } = pass;
    const outcome = await this.inventory.admission.admit({ tokenId, secret, applicants, info }, (place, publicKey) =>
      this.authority.issue({ identity: { mesh: this.authority.mesh, ...place }, publicKey }),
    );
    if (outcome.kind === 'refused') throw new Error(`the inventory lets no machine in: ${outcome.message}`);
    for (const { role, certificate } of outcome.machines) {
      const directory = directories[role] ?? '';
      const der = Buffer.from(certificate, 'base64');
      await saveMembership(directory, MeshCertificate.parse(der), this.authority.bundle, {
        v: 1,
        cloud: this.cloudAddress,
        enrollmentKey: Buffer.from(this.enrollmentKey).toString('base64'),
        // Of whatever machine it is copied to.
        fingerprint: '',
        enrolledAt: new Date(this.modules.clock.now()).toISOString(),
        connectors: [...pass.knownConnectors],
      });
    }
    return outcome.machines.map(({ id }) => id);
  }
}
