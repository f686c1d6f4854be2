// How many things there may be at the same time: of one customer, where nothing else is said. The comments of the contract
// say so, too.
export const MOST = {
  /** Also of those who see all. */
  tokens: 1_000,
  /** Also those that were retired. */
  machines: 20_000,
  /** Also of those for alarms of all customers. */
  channels: 50,
  maintenances: 200,
  /** Of one hub. */
  sensors: 1_000,
} as const;
