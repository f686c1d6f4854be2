// The parts of the benchmark, in the order in which they run.
import type { Part } from './part.js';

export const PARTS: readonly Part[] = [];
