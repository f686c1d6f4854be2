// Whether a sensor changes its state all the time: the share of changes among its last readings, newer ones counting more,
// with one threshold to begin and a lower one to end. After Nagios, "Detection and Handling of State Flapping".

/** How many of the last readings count. */
const WINDOW = 20;
const BEGINS_AT = 0.3;
const ENDS_BELOW = 0.15;
/** Of the oldest and of the newest; between them it rises evenly. */
const [OLDEST_WEIGHT, NEWEST_WEIGHT] = [0.8, 1.2];

/** Bit i: the reading before last i times changed the state. */
export type Changes = number;

export const NO_CHANGES: Changes = 0;
export const ALL_CHANGES: Changes = 2 ** WINDOW - 1;

/** One reading more. */
export const noted = (changes: Changes, changed: boolean): Changes => ((changes << 1) | Number(changed)) & ALL_CHANGES;

/** `before`: whether it was flapping until now. */
export function isFlapping(changes: Changes, before: boolean): boolean {
  const share = shareOf(changes);
  return before ? share >= ENDS_BELOW : share >= BEGINS_AT;
}

function shareOf(changes: Changes): number {
  let sum = 0;
  const step = (NEWEST_WEIGHT - OLDEST_WEIGHT) / (WINDOW - 1);
  for (let i = 0, bits = changes; bits !== 0; i++, bits >>>= 1) if (bits & 1) sum += NEWEST_WEIGHT - i * step;
  return sum / WINDOW;
}
