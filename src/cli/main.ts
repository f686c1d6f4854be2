#!/usr/bin/env node
// The `occ` program: arguments in, exit code out. What it can do is in program.ts.
import { EXIT } from './exit-codes.js';
import { processTerminal } from './process-terminal.js';
import { run } from './program.js';

// What the libraries write (the store above all) takes its mode from here: it holds readings, names and hashes of tokens,
// and the data directory may have been made by somebody else, open to all. Files for others get their mode explicitly.
process.umask(0o077);
const terminal = processTerminal();
const code = await run(process.argv.slice(2), terminal);
// Interrupted: whatever was under way is not waited for. Otherwise the process ends when nothing is left open.
if (code === EXIT.INTERRUPTED) process.exit(code);
process.exitCode = code;
