// nf_tables messages (linux/netfilter/nf_tables.h, nfnetlink.h) appended to one batch.
import { ByteWriter } from '../bytes';
import { beginAttribute, endAttribute } from './rtnetlink';

const NFNL_SUBSYS_NFTABLES: u32 = 10;
const NFNL_MSG_BATCH_BEGIN: u32 = 16;
const NFNL_MSG_BATCH_END: u32 = 17;
const NFPROTO_IPV4: u32 = 2;
const NLM_F_REQUEST: u32 = 1;
const NLM_F_ACK: u32 = 4;
const NLM_F_CREATE: u32 = 0x400;
const NLM_F_APPEND: u32 = 0x800;
const NLA_F_NESTED: i32 = 0x8000;
const NFTA_LIST_ELEM = 1;

export const NFT_MSG_NEWTABLE: u32 = 0;
export const NFT_MSG_DELTABLE: u32 = 2;
export const NFT_MSG_NEWCHAIN: u32 = 3;
export const NFT_MSG_NEWRULE: u32 = 6;

export const NF_INET_FORWARD: u32 = 2;
export const NF_INET_POST_ROUTING: u32 = 4;
export const NF_DROP: u32 = 0;
export const NF_ACCEPT: u32 = 1;
export const NFT_META_IIFNAME: u32 = 6;
export const NFT_META_OIFNAME: u32 = 7;
export const NFT_CMP_EQ: u32 = 0;
export const NFT_CMP_NEQ: u32 = 1;
/** Bits of `ct state`: established and related. */
export const CT_ESTABLISHED_RELATED: u32 = 2 | 4;

const REGISTER: u32 = 1;
const IFNAMSIZ = 16;

function begin(out: ByteWriter, type: u32, flags: u32, family: u32, resource: u32): i32 {
  out.align(4);
  const start = out.length;
  out.u32(0);
  out.u16(type);
  out.u16(NLM_F_REQUEST | flags);
  out.u32(0);
  out.u32(0);
  out.u8(family);
  out.u8(0);
  out.u16be(resource);
  return start;
}

function end(out: ByteWriter, start: i32): void {
  out.setU32(start, out.length - start);
  out.align(4);
}

export function beginBatch(out: ByteWriter): void {
  end(out, begin(out, NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES));
}

export function endBatch(out: ByteWriter): void {
  end(out, begin(out, NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES));
}

function beginNft(out: ByteWriter, type: u32, flags: u32): i32 {
  return begin(out, (NFNL_SUBSYS_NFTABLES << 8) | type, NLM_F_ACK | flags, NFPROTO_IPV4, 0);
}

function text(out: ByteWriter, type: i32, value: string): void {
  const start = beginAttribute(out, type);
  out.cstring(value);
  endAttribute(out, start);
}

function number(out: ByteWriter, type: i32, value: u32): void {
  const start = beginAttribute(out, type);
  out.u32be(value);
  endAttribute(out, start);
}

function nest(out: ByteWriter, type: i32): i32 {
  return beginAttribute(out, type | NLA_F_NESTED);
}

/** NEWTABLE or DELTABLE. */
export function table(out: ByteWriter, message: u32, name: string): void {
  const start = beginNft(out, message, message == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0);
  text(out, 1, name);
  end(out, start);
}

/** A base chain with the policy accept. */
export function baseChain(
  out: ByteWriter,
  tableName: string,
  name: string,
  type: string,
  hook: u32,
  priority: i32,
): void {
  const start = beginNft(out, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
  text(out, 1, tableName);
  text(out, 3, name);
  const hooked = nest(out, 4);
  number(out, 1, hook);
  number(out, 2, <u32>priority);
  endAttribute(out, hooked);
  number(out, 5, NF_ACCEPT);
  text(out, 7, type);
  end(out, start);
}

/** One rule: expressions are added between `new Rule` and `end`. */
export class Rule {
  private start: i32;
  private list: i32;

  constructor(
    private out: ByteWriter,
    tableName: string,
    chain: string,
  ) {
    this.start = beginNft(out, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    text(out, 1, tableName);
    text(out, 2, chain);
    this.list = nest(out, 4);
  }

  end(): void {
    endAttribute(this.out, this.list);
    end(this.out, this.start);
  }

  private expression(name: string): i32 {
    const element = nest(this.out, NFTA_LIST_ELEM);
    text(this.out, 1, name);
    return element;
  }

  private finish(element: i32, data: i32): void {
    endAttribute(this.out, data);
    endAttribute(this.out, element);
  }

  /** The interface's name is, or is not, this one. */
  interfaceName(key: u32, comparison: u32, name: string): void {
    const meta = this.expression('meta');
    const data = nest(this.out, 2);
    number(this.out, 1, REGISTER);
    number(this.out, 2, key);
    this.finish(meta, data);
    const padded = new ByteWriter(IFNAMSIZ);
    padded.text(name);
    padded.zeros(IFNAMSIZ - padded.length);
    this.compare(comparison, padded);
  }

  /** The packet's IPv4 source lies in a network of so many bits. */
  sourceIn(address: u8[], prefixLength: i32): void {
    const mask: u32 = prefixLength == 0 ? 0 : (<u32>0xffffffff) << (<u32>(32 - prefixLength));
    const payload = this.expression('payload');
    const data = nest(this.out, 2);
    number(this.out, 1, REGISTER);
    number(this.out, 2, 1); // NFT_PAYLOAD_NETWORK_HEADER
    number(this.out, 3, 12);
    number(this.out, 4, 4);
    this.finish(payload, data);
    this.mask(mask, true);
    const network = new ByteWriter(4);
    const value =
      (((<u32>address[0]) << 24) | ((<u32>address[1]) << 16) | ((<u32>address[2]) << 8) | <u32>address[3]) & mask;
    network.u32be(value);
    this.compare(NFT_CMP_EQ, network);
  }

  /** Conntrack's state has one of these bits. */
  connectionState(bits: u32): void {
    const ct = this.expression('ct');
    const data = nest(this.out, 2);
    number(this.out, 1, REGISTER);
    number(this.out, 2, 0); // NFT_CT_STATE
    this.finish(ct, data);
    this.mask(bits, false);
    const none = new ByteWriter(4);
    none.u32(0);
    this.compare(NFT_CMP_NEQ, none);
  }

  masquerade(): void {
    const masq = this.expression('masq');
    this.finish(masq, nest(this.out, 2));
  }

  verdict(code: u32): void {
    const immediate = this.expression('immediate');
    const data = nest(this.out, 2);
    number(this.out, 1, 0); // NFT_REG_VERDICT
    const value = nest(this.out, 2);
    const verdict = nest(this.out, 2);
    number(this.out, 1, code);
    endAttribute(this.out, verdict);
    endAttribute(this.out, value);
    this.finish(immediate, data);
  }

  /** Registers hold packet data in network order, conntrack's bits in the machine's. */
  private mask(mask: u32, network: bool): void {
    const bitwise = this.expression('bitwise');
    const data = nest(this.out, 2);
    number(this.out, 1, REGISTER);
    number(this.out, 2, REGISTER);
    number(this.out, 3, 4);
    const bytes = new ByteWriter(4);
    if (network) bytes.u32be(mask);
    else bytes.u32(mask);
    this.value(4, bytes);
    const zero = new ByteWriter(4);
    zero.u32(0);
    this.value(5, zero);
    this.finish(bitwise, data);
  }

  private compare(comparison: u32, value: ByteWriter): void {
    const cmp = this.expression('cmp');
    const data = nest(this.out, 2);
    number(this.out, 1, REGISTER);
    number(this.out, 2, comparison);
    this.value(3, value);
    this.finish(cmp, data);
  }

  private value(type: i32, bytes: ByteWriter): void {
    const outer = nest(this.out, type);
    const inner = beginAttribute(this.out, 1);
    this.out.writer(bytes);
    endAttribute(this.out, inner);
    endAttribute(this.out, outer);
  }
}
