// What a build is asked for, in the engine's words. Types only.
import type { Credentials } from '../image/registry/credentials.ts';
import type { Platform, Resources, Ulimit } from '../types.ts';

export interface BuildRequest {
  /** A tar, compressed or not; absent: there are no files. */
  context?: AsyncIterable<Uint8Array> | undefined;
  /** Path in the context. */
  dockerfile: string;
  /** In place of one in the context. */
  dockerfileText?: { name: string; text: string } | undefined;
  secrets: ReadonlyMap<string, Buffer>;
  /** Names of the image. */
  tags: string[];
  /** Stage's name or index; empty: the last one. */
  target: string;
  buildArgs: Record<string, string>;
  labels: Record<string, string>;
  noCache: boolean;
  /** Images that the client wants used as a cache. */
  cacheFrom: string[];
  /** Ask the registry for each base image. */
  pull: boolean;
  platform?: Platform | undefined;
  /** Of RUN, where it does not say itself: "default", "none", "host", or a network's name. */
  network: string;
  /** "host:ip". */
  extraHosts: string[];
  shmSize?: number | undefined;
  ulimits: Ulimit[];
  resources: Resources;
  cgroupParent: string;
  credentials(registry: string): Credentials | undefined;
}
