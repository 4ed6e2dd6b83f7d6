// What the image store is asked for, and what it answers. Types only.
import type { Image, ImageUsers, Platform, Progress } from '../types.ts';
import type { Builds, Draft } from './builds.ts';
import type { PushTarget } from './image-names.ts';
import type { LayerFormat } from './layers/format.ts';
import type { Commit, Import } from './new-image.ts';
import type { Pushed } from './push.ts';
import type { Credentials } from './registry/credentials.ts';
import type { Referrers, RemoteImage } from './registry/distribution.ts';
import type { Found } from './registry/search.ts';
import type { Change } from './unpack.ts';
import type { Checked, Verification } from './verify.ts';

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

export interface ImageStore {
  list(): Promise<Image[]>;
  /** By name, "name@digest", ID or a unique beginning of it. @throws {GantryError} IMAGE_NOT_FOUND, INVALID_ARGUMENT. */
  find(name: string): Promise<Image>;
  pull(name: string, request?: PullRequest): Promise<Pull>;
  /** Every tag that a repository has at its registry. @throws {GantryError} IMAGE_NOT_FOUND, AUTH_FAILED, REGISTRY_FAILED. */
  remoteTags(name: string, request?: Pick<PullRequest, 'credentials' | 'signal'>): Promise<string[]>;
  load(archive: AsyncIterable<Uint8Array>, progress?: (line: Progress) => void): Promise<Image[]>;
  save(names: string[]): Promise<AsyncIterable<Uint8Array>>;
  /** Sends what a reference names to its registry. @throws {GantryError} IMAGE_NOT_FOUND, AUTH_FAILED, REGISTRY_FAILED. */
  push(name: string, request?: PushRequest): Promise<Pushed>;
  /** What a push of this repository is about: all its tags, or the one. @throws {GantryError} IMAGE_NOT_FOUND. */
  pushable(name: string, tag: string): PushTarget;
  /** Asks a registry whether it takes a login. @throws {GantryError} AUTH_FAILED, REGISTRY_FAILED. */
  checkLogin(registry: string, credentials: Credentials): Promise<void>;
  /** What a registry says about a reference; nothing is fetched. @throws {GantryError} IMAGE_NOT_FOUND, AUTH_FAILED, REGISTRY_FAILED. */
  inspectRemote(name: string, credentials?: Credentials): Promise<RemoteImage>;
  /** What a registry has about an image: signatures, attestations. @param artifactType "": any. @throws {GantryError} as `inspectRemote`. */
  referrers(name: string, artifactType: string, credentials?: Credentials): Promise<Referrers>;
  /** @param limit 0: as many as are usual. @throws {GantryError} INVALID_ARGUMENT, AUTH_FAILED, REGISTRY_FAILED. */
  search(term: string, limit: number, credentials?: Credentials): Promise<Found[]>;
  /** @returns the new name, written out in short form. */
  tag(name: string, target: string): Promise<string>;
  /** Takes a name away, and the image with its last name. `usersOf` names what still needs it. @throws {GantryError} IMAGE_NOT_FOUND, IN_USE. */
  remove(name: string, force: boolean, usersOf: (id: string) => ImageUsers): Promise<Removal>;
  /** Directories of the layers, uppermost first. */
  layerPaths(image: Image): string[];
  /** Why an image may not run on this machine, in docker's words; undefined where it does. */
  foreignness(image: Image): string | undefined;
  /** Makes layers visible by their directories; nothing is waited for where they are. @throws {GantryError} STATE_DAMAGED, UNSUPPORTED. */
  showLayers(paths: readonly string[]): Promise<void> | undefined;
  /** What layers are on this machine. */
  layerFormat(): Promise<LayerFormat>;
  /** Reads all of an image again. What is broken counts as missing from then on, so that a pull brings it. @throws {GantryError} IMAGE_NOT_FOUND. */
  verify(name: string, checked?: Checked): Promise<Verification & { image: Image }>;
  /** What an upper directory on top of the image's layers (and of one more below them) changes. */
  changes(image: Image, upper: string, lowest: string): Promise<Change[]>;
  /** A new image; `target` is its name. @throws {GantryError} INVALID_ARGUMENT. */
  commit(parent: Image, commit: Commit, target: string | undefined): Promise<Image>;
  import(request: Import, target: string | undefined): Promise<Image>;
  readonly builds: Builds;
  /** What a build starts from that starts from this image. */
  draft(image: Image): Draft;
  /** Makes what a build has made an image of the list, under some names. @throws {GantryError} INVALID_ARGUMENT, IN_USE. */
  keep(built: Draft & { id: string }, names: string[]): Promise<Image>;
  /** Nothing is collected while this works. */
  arrival<T>(work: () => Promise<T>): Promise<T>;
  /** Removes what nothing needs, now that the build cache has let it go. */
  collect(): Promise<void>;
  /** Leaves no layer mounted. */
  close(): Promise<void>;
}
