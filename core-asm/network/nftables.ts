// One batch of nf_tables messages (linux/netfilter/nf_tables.h, nfnetlink.h): all of it comes into force, or nothing.
import { ByteWriter } from '../bytes';
import { beginAttribute, endAttribute } from './rtnetlink';

const NFNL_SUBSYS_NFTABLES: u32 = 10;
const NFNL_MSG_BATCH_BEGIN: u32 = 16;
const NFNL_MSG_BATCH_END: u32 = 17;
const NLM_F_REQUEST: u32 = 1;
const NLM_F_ACK: u32 = 4;
const NLM_F_CREATE: u32 = 0x400;
const NLM_F_APPEND: u32 = 0x800;
const NLA_F_NESTED: i32 = 0x8000;
export const NFTA_LIST_ELEM = 1;

const NFT_MSG_NEWTABLE: u32 = 0;
const NFT_MSG_DELTABLE: u32 = 2;
const NFT_MSG_NEWCHAIN: u32 = 3;
const NFT_MSG_NEWRULE: u32 = 6;
const NFT_MSG_NEWSET: u32 = 9;
const NFT_MSG_NEWSETELEM: u32 = 12;
const NFT_MSG_DELSETELEM: u32 = 14;

export const NFPROTO_IPV4: u32 = 2;
export const NFPROTO_IPV6: u32 = 10;
export const NF_INET_PRE_ROUTING: u32 = 0;
export const NF_INET_FORWARD: u32 = 2;
export const NF_INET_LOCAL_OUT: u32 = 3;
export const NF_INET_POST_ROUTING: u32 = 4;
const NF_ACCEPT: u32 = 1;

const NFT_SET_MAP: u32 = 8;
/** Elements of one message: the length of their list must fit into 16 bits. */
const ELEMENTS_PER_MESSAGE = 256;

export function textAttribute(out: ByteWriter, type: i32, value: string): void {
  const start = beginAttribute(out, type);
  out.cstring(value);
  endAttribute(out, start);
}

/** nf_tables numbers are in network byte order. */
export function numberAttribute(out: ByteWriter, type: i32, value: u32): void {
  const start = beginAttribute(out, type);
  out.u32be(value);
  endAttribute(out, start);
}

export function nest(out: ByteWriter, type: i32): i32 {
  return beginAttribute(out, type | NLA_F_NESTED);
}

/** NFTA_DATA_VALUE inside the attribute `type`. */
export function valueAttribute(out: ByteWriter, type: i32, bytes: ByteWriter): void {
  const outer = nest(out, type);
  const inner = beginAttribute(out, 1);
  out.writer(bytes);
  endAttribute(out, inner);
  endAttribute(out, outer);
}

/** Key and value of a map's element, and whom it belongs to: shown by `nft list`. */
export class Element {
  constructor(
    public key: ByteWriter,
    public value: ByteWriter,
    public comment: string,
  ) {}
}

/** Messages about tables of one name, in one family after the other. */
export class NftBatch {
  out: ByteWriter = new ByteWriter(4096);
  /** Of the messages that follow. */
  family: u32 = NFPROTO_IPV4;

  constructor(public table: string) {
    this.boundary(NFNL_MSG_BATCH_BEGIN);
  }

  /** Closes the batch and gives it. */
  finish(): ByteWriter {
    this.boundary(NFNL_MSG_BATCH_END);
    return this.out;
  }

  private boundary(type: u32): void {
    this.endMessage(this.header(type, 0, 0, NFNL_SUBSYS_NFTABLES));
  }

  private header(type: u32, flags: u32, family: u32, resource: u32): i32 {
    this.out.align(4);
    const start = this.out.length;
    this.out.u32(0);
    this.out.u16(type);
    this.out.u16(NLM_F_REQUEST | flags);
    this.out.u32(0);
    this.out.u32(0);
    this.out.u8(family);
    this.out.u8(0);
    this.out.u16be(resource);
    return start;
  }

  private message(type: u32, flags: u32): i32 {
    const start = this.header((NFNL_SUBSYS_NFTABLES << 8) | type, NLM_F_ACK | flags, this.family, 0);
    textAttribute(this.out, 1, this.table);
    return start;
  }

  private endMessage(start: i32): void {
    this.out.setU32(start, this.out.length - start);
    this.out.align(4);
  }

  /** The table is there, as it is. */
  addTable(): void {
    this.endMessage(this.message(NFT_MSG_NEWTABLE, NLM_F_CREATE));
  }

  /** The table goes, with all that is in it. */
  deleteTable(): void {
    this.endMessage(this.message(NFT_MSG_DELTABLE, 0));
  }

  /** A base chain with the policy accept. */
  chain(name: string, type: string, hook: u32, priority: i32): void {
    const start = this.message(NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    textAttribute(this.out, 3, name);
    const hooked = nest(this.out, 4);
    numberAttribute(this.out, 1, hook);
    numberAttribute(this.out, 2, <u32>priority);
    endAttribute(this.out, hooked);
    numberAttribute(this.out, 5, NF_ACCEPT);
    textAttribute(this.out, 7, type);
    this.endMessage(start);
  }

  /** @param keyType and dataType: nft's numbers of the types, for those who list it; the kernel looks at the lengths. */
  map(name: string, id: u32, keyType: u32, keyLength: u32, dataType: u32, dataLength: u32): void {
    const start = this.message(NFT_MSG_NEWSET, NLM_F_CREATE);
    textAttribute(this.out, 2, name);
    numberAttribute(this.out, 3, NFT_SET_MAP);
    numberAttribute(this.out, 4, keyType);
    numberAttribute(this.out, 5, keyLength);
    numberAttribute(this.out, 6, dataType);
    numberAttribute(this.out, 7, dataLength);
    numberAttribute(this.out, 10, id);
    this.endMessage(start);
  }

  addElements(map: string, elements: Element[]): void {
    this.elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, map, elements);
  }

  deleteElements(map: string, elements: Element[]): void {
    this.elements(NFT_MSG_DELSETELEM, 0, map, elements);
  }

  private elements(type: u32, flags: u32, map: string, elements: Element[]): void {
    for (let from = 0; from < elements.length; from += ELEMENTS_PER_MESSAGE) {
      const start = this.message(type, flags);
      textAttribute(this.out, 2, map);
      const list = nest(this.out, 3);
      for (let i = from; i < min(from + ELEMENTS_PER_MESSAGE, elements.length); i++) {
        const element = nest(this.out, NFTA_LIST_ELEM);
        valueAttribute(this.out, 1, elements[i].key);
        if (type == NFT_MSG_NEWSETELEM) {
          valueAttribute(this.out, 2, elements[i].value);
          this.comment(elements[i].comment);
        }
        endAttribute(this.out, element);
      }
      endAttribute(this.out, list);
      this.endMessage(start);
    }
  }

  /** NFTA_SET_ELEM_USERDATA in libnftnl's form: type 0 (comment), length, text. */
  private comment(text: string): void {
    const start = beginAttribute(this.out, 6);
    this.out.u8(0);
    this.out.u8(<u32>String.UTF8.byteLength(text) + 1);
    this.out.cstring(text);
    endAttribute(this.out, start);
  }

  /** Begins a rule at the end of the chain; `rule.ts` gives the result to `endRule`. */
  beginRule(chain: string): i32 {
    const start = this.message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    textAttribute(this.out, 2, chain);
    return start;
  }

  endRule(start: i32): void {
    this.endMessage(start);
  }
}
