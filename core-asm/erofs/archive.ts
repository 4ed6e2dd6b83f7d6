// Reads the archive, entry by entry: what the host is to do next is asked for, and its answer is there at the next step.
import {
  ACTION_DRAIN,
  ACTION_READ,
  ACTION_SKIP,
  REFUSED_CUT_SHORT,
  REFUSED_EXTRA_TOO_LONG,
  REFUSED_SPARSE,
} from './abi';
import { applyEntry } from './entries';
import { entry } from './entry';
import { copySegment, isChunked } from './files';
import { checkHeader, HEADER, isZeroBlock, readHeader } from './header';
import { ask } from './image';
import { allocate, refuse, textLength, u64at, u8at } from './memory';
import { readRecords } from './pax';
import { beginMap, checkSegments, isSparse, readMapBlock, readOldExtension, readOldHeader, segments } from './sparse';

const WANTS_HEADER = 0;
const HAS_HEADER = 1;
const HAS_OLD_EXTENSION = 2;
const HAS_MAP_BLOCK = 3;
const COPIES_SEGMENTS = 4;
const ENDED = 5;
let phase: i32 = WANTS_HEADER;

const header: usize = allocate(HEADER);
const block: usize = allocate(HEADER);

/** Records of attributes, or a long name, of one entry. */
const EXTRA_MAX: u64 = 1 << 20;

class Extra {
  at: usize = 0;
  capacity: i32 = 0;
  /** Negative where the entry has none. */
  length: i32 = -1;

  /** Asks for `entry`'s content. */
  read(): void {
    if (entry.stored > EXTRA_MAX) refuse(REFUSED_EXTRA_TOO_LONG);
    this.length = <i32>entry.stored;
    if (this.length > this.capacity) {
      this.capacity = max(4096, 1 << (32 - clz(this.length)));
      this.at = allocate(this.capacity);
    }
    if (this.length > 0) ask(ACTION_READ, this.at, 0, this.length);
    skipPadding(entry.stored);
  }
}

const attributes = new Extra();
const longName = new Extra();
const longLink = new Extra();

function forgetExtras(): void {
  attributes.length = longName.length = longLink.length = -1;
}

function skipPadding(size: u64): void {
  const rest = <i32>(size & (HEADER - 1));
  if (rest > 0) ask(ACTION_SKIP, 0, 0, HEADER - rest);
}

/** A digest of all headers and attributes: layers that differ get images with different identities. */
export let digestLow: u64 = 0x9e3779b97f4a7c15;
export let digestHigh: u64 = 0xc2b2ae3d27d4eb4f;

function digest(at: usize, length: i32): void {
  for (let i = 0; i + 8 <= length; i += 8) {
    digestLow = rotl((digestLow ^ u64at(at + i)) * 0x9fb21c651e98df25, 29);
    digestHigh = rotl((digestHigh + u64at(at + i)) * 0xd6e8feb86659fd93, 37);
  }
  for (let i = length & ~7; i < length; i++) digestLow = (digestLow ^ u8at(at + i)) * 0x9fb21c651e98df25;
}

/** Whether the stream may end after `got` bytes of what was asked for. Refuses where it is cut short. */
export function streamEnded(got: i32): void {
  if (phase != HAS_HEADER || got > 0 || attributes.length >= 0 || longName.length >= 0 || longLink.length >= 0)
    refuse(REFUSED_CUT_SHORT);
  phase = ENDED; // Some writers leave the closing blocks away.
}

/** Goes on until something is asked for. False at the end of the archive. */
export function readArchive(): bool {
  switch (phase) {
    case WANTS_HEADER:
      entry.nameLength = 0;
      ask(ACTION_READ, header, 0, HEADER);
      phase = HAS_HEADER;
      return true;
    case HAS_HEADER:
      readNext();
      return true;
    case HAS_OLD_EXTENSION:
      if (readOldExtension(block)) ask(ACTION_READ, block, 0, HEADER);
      else beginContent();
      return true;
    case HAS_MAP_BLOCK:
      if (readMapBlock(block)) readMap();
      else beginContent();
      return true;
    case COPIES_SEGMENTS:
      copyNextSegment();
      return true;
  }
  return false;
}

function readNext(): void {
  if (isZeroBlock(header)) {
    ask(ACTION_DRAIN, 0, 0, 0);
    phase = ENDED;
    return;
  }
  checkHeader(header);
  digest(header, HEADER);
  readHeader(header);
  phase = WANTS_HEADER;
  switch (entry.type) {
    case 0x78: // x
      attributes.read();
      break;
    case 0x67: // g: global attributes say nothing that a layer needs.
      if (entry.stored > 0) ask(ACTION_SKIP, 0, 0, <f64>entry.stored);
      skipPadding(entry.stored);
      break;
    case 0x4c: // L
      longName.read();
      break;
    case 0x4b: // K
      longLink.read();
      break;
    default:
      describeEntry();
  }
}

function describeEntry(): void {
  if (longName.length >= 0) {
    entry.name = longName.at;
    entry.nameLength = textLength(longName.at, longName.length);
    digest(longName.at, longName.length);
  }
  if (longLink.length >= 0) {
    entry.link = longLink.at;
    entry.linkLength = textLength(longLink.at, longLink.length);
    digest(longLink.at, longLink.length);
  }
  const hasMap = readRecords(attributes.at, max(0, attributes.length));
  digest(attributes.at, max(0, attributes.length));
  if (entry.type == 0x53) {
    entry.type = 0x30;
    if (readOldHeader(header)) {
      ask(ACTION_READ, block, 0, HEADER);
      phase = HAS_OLD_EXTENSION;
      return;
    }
  } else if (entry.type == 0x37) entry.type = 0x30;
  else if (entry.type == 0x30 && entry.nameLength > 0 && u8at(entry.name + entry.nameLength - 1) == 0x2f)
    entry.type = 0x35; // Before ustar a directory was known by its slash.
  if (entry.type != 0x30) entry.stored = 0;
  else if (hasMap) {
    beginMap();
    readMap();
    return;
  }
  beginContent();
}

/** The next block of a map that stands before the content. */
function readMap(): void {
  if (entry.stored < <u64>HEADER) refuse(REFUSED_SPARSE);
  entry.stored -= HEADER;
  ask(ACTION_READ, block, 0, HEADER);
  phase = HAS_MAP_BLOCK;
}

let segment: i32 = 0;

function beginContent(): void {
  if (entry.type == 0x30 && isSparse()) checkSegments();
  const stored = entry.stored;
  const isFile = applyEntry();
  forgetExtras();
  if (isFile && isChunked) {
    segment = 0;
    phase = COPIES_SEGMENTS;
    return;
  }
  // A whiteout is an empty file; nobody wants what one might hold.
  if (!isFile && stored > 0) ask(ACTION_SKIP, 0, 0, <f64>stored);
  skipPadding(stored);
  phase = WANTS_HEADER;
}

function copyNextSegment(): void {
  if (segment < segments()) {
    copySegment(segment++);
    return;
  }
  skipPadding(entry.stored);
  phase = WANTS_HEADER;
}
