// The planner of gantry-runtime: started by its front when none listens, it answers fronts until it has had nothing to do
// for a while. `planner.js SOCKET`; "ready" on stdout says that it listens.
import { mkdirSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync, writeSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { createFacts } from '../linux/facts.ts';
import { answerTo, type Planning } from './answer.ts';
import { readQuestion, writeAnswer } from './messages.ts';

const IDLE_MS = 60_000;

const socketPath = process.argv[2];
if (socketPath === undefined) throw new Error('usage: planner.js SOCKET');
const directory = dirname(socketPath);
const planning: Planning = { facts: createFacts(), emptyDirectory: join(directory, 'empty') };
mkdirSync(`${planning.emptyDirectory}-mask`, { recursive: true, mode: 0o755 });
mkdirSync(planning.emptyDirectory, { recursive: true, mode: 0o755 });

const open = new Set<Socket>();
let idle = setTimeout(leave, IDLE_MS);

const server = createServer((socket) => {
  open.add(socket);
  clearTimeout(idle);
  let received: Buffer = Buffer.alloc(0);
  let answered: Promise<void> = Promise.resolve();
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    try {
      for (let read = readQuestion(received); read !== undefined; read = readQuestion(received)) {
        const { question, length } = read;
        received = received.subarray(length);
        answered = answered.then(async () => {
          socket.write(writeAnswer(await answerTo(question, planning)));
        });
      }
    } catch {
      socket.destroy();
    }
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    open.delete(socket);
    if (open.size > 0) return;
    clearTimeout(idle);
    idle = setTimeout(leave, IDLE_MS);
  });
});

/** Bound under another name first: whoever finds the socket finds somebody behind it. */
const unready = `${socketPath}.${process.pid}`;
let inode = 0n;
server.listen(unready, async () => {
  inode = statSync(unready, { bigint: true }).ino;
  renameSync(unready, socketPath);
  const facts = await planning.facts();
  writeSync(1, 'ready\n');
  // Whoever started it may have been in a cgroup that is to be removed.
  for (const mount of new Set(Object.values(facts.cgroup.mounts))) {
    try {
      writeFileSync(join(mount, 'cgroup.procs'), String(process.pid));
    } catch {} // It stays where it is.
  }
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, leave);

function leave(): void {
  clearTimeout(idle);
  // Another one may have taken the name over.
  if (statSync(socketPath!, { bigint: true, throwIfNoEntry: false })?.ino === inode) unlinkSync(socketPath!);
  server.close();
  for (const socket of open) socket.destroySoon();
  for (const name of readdirSync(directory)) if (name.endsWith(`.${process.pid}`)) unlinkSync(join(directory, name));
}
