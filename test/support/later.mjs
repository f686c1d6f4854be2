// Preloaded into a process that is to live later than the others: its wall clock is ahead by TEST_CLOCK_AHEAD
// milliseconds. Everything in the program reads it through Date.now (src/kernel/clock.ts).
const ahead = Number(process.env.TEST_CLOCK_AHEAD);
const now = Date.now.bind(Date);
Date.now = () => now() + ahead;
