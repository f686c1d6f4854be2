// Kind `load`: how many processes want to run, and how long the machine has been up.
import { availableParallelism, loadavg, uptime } from 'node:os';
import { load as description } from '../catalogue/load.js';
import type { NoSettings, SensorKind } from '../kind.js';
import { round } from '../rounding.js';

export const load: SensorKind<NoSettings> = {
  ...description,
  create: (_settings, { platform }) => ({
    async measure() {
      const up = { name: 'uptime', unit: 's', value: Math.floor(uptime()) };
      // Windows has no load average; Node says 0, which would look like a measurement.
      if (platform === 'win32') return { values: [up] };
      const [one = 0, five = 0, fifteen = 0] = loadavg();
      const plain = (name: string, value: number) => ({ name, unit: '', value: round(value, 2) });
      return {
        values: [
          plain('load1', one),
          plain('load5', five),
          plain('load15', fifteen),
          plain('load5-per-core', five / Math.max(1, availableParallelism())),
          up,
        ],
      };
    },
  }),
};
