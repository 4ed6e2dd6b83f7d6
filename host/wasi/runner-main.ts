// Entry of a runner's process: reads its order from standard input, and answers on standard output whether the program can run.
import { readFileSync, writeSync, closeSync } from 'node:fs';
import type { Order } from './order.ts';
import { type Prepared, run } from './runner.ts';

const order = JSON.parse(readFileSync(0, 'utf8')) as Order;
const tell = (prepared: Prepared): void => {
  writeSync(1, JSON.stringify(prepared));
  closeSync(1);
};
// Whoever ends the engine with a signal to its process group does not mean the containers.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
run(order, tell).catch((error: Error) =>
  tell({ failed: 'INTERNAL', message: `Cannot run the program: ${error.message}` }),
);
