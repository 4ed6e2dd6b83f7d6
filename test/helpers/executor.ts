// Drives the real executor over its socket: start it, send programs, collect frames.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import * as abi from '../../core-asm/abi.ts';
import type { Plan } from '../../host/plan-types.ts';

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
export const executorProgram = join(import.meta.dirname, `../../dist/executor/gantry-executor-${architecture}`);

export interface Outcome {
  frames: number[];
  output: string;
  exitCode?: number;
  failure?: { op: number; errno: number; phase: number };
}

/** Starts `gantry-executor serve`; `stop` cuts its lifeline and waits. */
export async function startExecutor(socket: string): Promise<{ child: ChildProcess; stop: () => Promise<void> }> {
  const child = spawn(executorProgram, ['serve', socket], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const stop = async () => {
    const gone = once(child, 'exit');
    child.stdin.end();
    await gone;
  };
  return { child, stop };
}

function frame(type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(abi.FRAME_HEADER);
  header.writeUInt32LE(payload.length);
  header.writeUInt8(type, 4);
  return Buffer.concat([header, payload]);
}

function numbers(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, index * 4);
  return bytes;
}

/** Runs a plan with output attached, until the supervisor has torn it down; in a pool slot where one is given. */
export async function runPlan(
  socket: string,
  { setup, teardown }: Pick<Plan, 'setup' | 'teardown'>,
  slot?: { program: Uint8Array; teardown: Uint8Array },
): Promise<Outcome> {
  const connection = connect(socket);
  connection.write(frame(abi.FRAME_ATTACH, numbers(abi.ATTACH_OUTPUT)));
  if (slot !== undefined) {
    const sizes = numbers(slot.program.length, slot.teardown.length);
    connection.write(frame(abi.FRAME_PREPARE, Buffer.concat([sizes, slot.program, slot.teardown])));
  }
  connection.write(frame(abi.FRAME_RUN, Buffer.concat([numbers(setup.length, teardown.length), setup, teardown])));
  const outcome: Outcome = { frames: [], output: '' };
  let pending = Buffer.alloc(0);
  for await (const chunk of connection) {
    pending = Buffer.concat([pending, chunk as Buffer]);
    while (pending.length >= 8 && pending.length >= 8 + pending.readUInt32LE(0)) {
      const length = pending.readUInt32LE(0);
      take(outcome, pending.readUInt8(4), pending.subarray(8, 8 + length));
      pending = pending.subarray(8 + length);
    }
  }
  return outcome;
}

function take(outcome: Outcome, type: number, payload: Buffer): void {
  outcome.frames.push(type);
  if (type === abi.FRAME_OUTPUT) outcome.output += payload.toString();
  if (type === abi.FRAME_EXITED) outcome.exitCode = payload.readUInt32LE(0);
  if (type === abi.FRAME_FAILED)
    outcome.failure = { op: payload.readUInt32LE(0), errno: payload.readUInt32LE(4), phase: payload.readUInt32LE(8) };
}
