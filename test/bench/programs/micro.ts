// A process that does nothing but single operations, one after another.
import { nanoseconds, type Operation } from '../micro/operation.js';
import { ofRecords, openLog } from '../micro/records.js';
import { ofCarriers, ofColumns } from '../micro/telemetry.js';
import type { Sample } from '../part.js';
import { serve } from '../program.js';

export interface Round {
  /** An empty folder on a disk that syncs. */
  readonly directory: string;
  /** Of each operation. */
  readonly milliseconds: number;
}

const abilities = {
  /** Each operation once. */
  measure: async ({ directory, milliseconds }: Round): Promise<Sample[]> => {
    const wal = await openLog(directory);
    const operations: readonly Operation[] = [...ofColumns(), ...ofCarriers(), ...ofRecords(wal)];
    const samples: Sample[] = [];
    for (const operation of operations) {
      const { figure, at } = operation;
      samples.push({ figure, at, unit: 'ns', value: await nanoseconds(operation, milliseconds) });
    }
    await wal.stop();
    return samples;
  },
};

export type MicroAbilities = typeof abilities;

serve(abilities);
