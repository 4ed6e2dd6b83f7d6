// What the two ways to hold a port, TCP and UDP, have in common. Types only.
import type { Backend } from '../../backend.ts';

/** The way to a container from here. */
export type Way = Pick<Backend, 'dial' | 'exchange'>;

/** One host port of one address, held. */
export interface Held {
  port: number;
  /** What comes from now on is carried there; before, it is dropped. */
  target(address: string, port: number): void;
  close(): void;
}

export interface Place {
  /** "::" with `ipv6Only` false takes IPv4 too. */
  host: string;
  /** 0: a free one. */
  port: number;
  ipv6Only: boolean;
}
