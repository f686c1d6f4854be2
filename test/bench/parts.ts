// The parts of the benchmark, in the order in which they run.
import type { Part } from './part.js';
import { drain } from './parts/drain.js';
import { fanout } from './parts/fanout.js';
import { footprint } from './parts/footprint.js';
import { ingest } from './parts/ingest.js';
import { micro } from './parts/micro.js';
import { mixed } from './parts/mixed.js';
import { noisy } from './parts/noisy.js';
import { query } from './parts/query.js';
import { scale } from './parts/scale.js';

export const PARTS: readonly Part[] = [micro, footprint, ingest, drain, query, fanout, mixed, noisy, scale];
