// What the image store is asked for, and what it answers. Types only.
import type { Image, Platform, Progress } from '../types.ts';
import type { Credentials } from './registry/credentials.ts';

export interface PullRequest {
  platform?: Platform | undefined;
  credentials?: Credentials | undefined;
  /** Who wants it has gone; a layer that another pull waits for is fetched by that one. */
  signal?: AbortSignal | undefined;
  progress?: (line: Progress) => void;
}

export interface PushRequest {
  credentials?: Credentials | undefined;
  progress?: (line: Progress) => void;
}

export interface Pull {
  image: Image;
  /** The reference as people write it. */
  name: string;
  /** Digest of what the reference names. */
  digest: string;
  /** Nothing had to be fetched. */
  upToDate: boolean;
}

/** What a removal did, in docker's words. */
export interface Removal {
  untagged: string[];
  deleted: string[];
  /** Of the layers that went. */
  bytes: number;
}
