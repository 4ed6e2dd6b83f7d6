// The machine whose kernel runs containers: this one, or a guest at the end of a channel. Types only.
import type { Duplex } from 'node:stream';
import type { HostFacts } from './plan-types.ts';

/** A connected socket; net.Socket is one. */
export interface MachineSocket extends Duplex {
  /** Closes once all is sent. */
  destroySoon(): void;
  ref(): void;
  unref(): void;
}

/** As a connected UDP socket. */
export interface DatagramLink {
  send(data: Uint8Array): void;
  close(): void;
}

export interface Machine {
  architecture: HostFacts['architecture'];
  /** Content of a file; empty where it cannot be read. */
  read(path: string): Promise<Uint8Array>;
  exists(path: string): Promise<boolean>;
  /** What is in a directory; nothing where it cannot be read. */
  list(path: string): Promise<{ name: string; isDirectory: boolean }[]>;
  /** Numbers of a device node, symbolic links followed; undefined where the path is none. */
  deviceNode(path: string): Promise<[major: number, minor: number, kind: 'b' | 'c'] | undefined>;
  /** Connects to a unix socket. Rejects with an error that has the system's `code`. */
  connect(path: string): Promise<MachineSocket>;
  /** Connects by TCP from where the machine is; each half ends by itself. Rejects as `connect`. */
  dial(address: string, port: number): Promise<Duplex>;
  /** Datagrams to and from one address by UDP; what cannot be sent is lost. */
  exchange(address: string, port: number, received: (data: Uint8Array) => void): DatagramLink;
  /** Output of ps(1); undefined where the machine has none. @throws {GantryError} INTERNAL with what ps says. */
  ps(args: string[]): Promise<string | undefined>;
}
