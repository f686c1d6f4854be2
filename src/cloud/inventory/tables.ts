// The inventory's tables: for each the schema of its records, their key in the store, and their group.
import { uuidBytes } from '../../identity/uuid.js';
import { u32be } from '../../storage/keys.js';
import { StoredTable } from '../records/stored-table.js';
import { customerKey, tableKey } from '../tables.js';
import {
  type CustomerRecord,
  customerSchema,
  type MachineRecord,
  type MachineRole,
  machineSchema,
  type SecretRecord,
  type SensorRecord,
  secretSchema,
  sensorSchema,
  type TokenRecord,
  tokenSchema,
} from './records.js';

export const sensorId = (machineId: string, number: number): string => `${machineId}/${number}`;
export const secretId = (sensor: string, field: string): string => `${sensor}/${field}`;
/** Hubs and connectors of a customer are groups of their own: desired states need the few connectors often. */
export const machineGroup = (customerId: string, role: MachineRole): string => `${customerId}/${role}`;

/** Those that were retired among them. */
export const machineCount = ({ machines }: Tables, customerId: string): number =>
  machines.groupSize(machineGroup(customerId, 'hub')) + machines.groupSize(machineGroup(customerId, 'connector'));

export class Tables {
  readonly customers = new StoredTable<CustomerRecord>('customer', customerSchema, {
    idOf: (customer) => customer.id,
    groupOf: () => '',
    keyOf: (customer) => tableKey(uuidBytes(customer.id), 'customer'),
  });

  /** Grouped by `machineGroup`; its aliases are its key ids, hex. */
  readonly machines = new StoredTable<MachineRecord>('machine', machineSchema, {
    idOf: (machine) => machine.id,
    groupOf: (machine) => machineGroup(machine.customerId, machine.role),
    aliasesOf: (machine) => machine.keys.map((key) => key.keyId),
    keyOf: (machine) => tableKey(uuidBytes(machine.customerId), 'machine', uuidBytes(machine.id)),
  });

  /** Grouped by machine. */
  readonly sensors = new StoredTable<SensorRecord>('sensor', sensorSchema, {
    idOf: (sensor) => sensorId(sensor.machineId, sensor.number),
    groupOf: (sensor) => sensor.machineId,
    keyOf: (sensor) =>
      tableKey(uuidBytes(sensor.customerId), 'sensor', uuidBytes(sensor.machineId), u32be(sensor.number)),
  });

  /** Grouped by machine. */
  readonly secrets = new StoredTable<SecretRecord>('secret', secretSchema, {
    idOf: (secret) => secretId(sensorId(secret.machineId, secret.sensor), secret.field),
    groupOf: (secret) => secret.machineId,
    keyOf: (secret) => {
      const rest = [uuidBytes(secret.machineId), u32be(secret.sensor), Buffer.from(secret.field)];
      return tableKey(uuidBytes(secret.customerId), 'secret', ...rest);
    },
  });

  /** Grouped by customer; the empty group is the operators'. */
  readonly tokens = new StoredTable<TokenRecord>('token', tokenSchema, {
    idOf: (token) => token.id,
    groupOf: (token) => token.customerId ?? '',
    keyOf: (token) => tableKey(customerKey(token.customerId), 'token', uuidBytes(token.id)),
  });

  /** In an order in which each may refer to those before it. */
  readonly list = [this.customers, this.machines, this.sensors, this.secrets, this.tokens] as const;
}
