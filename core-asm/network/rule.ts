// One nf_tables rule: expressions that load what a packet has into registers, compare it, and judge.
import { ByteWriter } from '../bytes';
import { beginAttribute, endAttribute } from './rtnetlink';
import {
  NFPROTO_IPV6,
  NFTA_LIST_ELEM,
  NftBatch,
  nest,
  numberAttribute,
  textAttribute,
  valueAttribute,
} from './nftables';

export const NF_DROP: u32 = 0;
export const NF_ACCEPT: u32 = 1;
export const NFT_META_IIFNAME: u32 = 6;
export const NFT_META_OIFNAME: u32 = 7;
const NFT_META_L4PROTO: u32 = 16;
export const NFT_CMP_EQ: u32 = 0;
export const NFT_CMP_NEQ: u32 = 1;

const NFT_CT_STATE: u32 = 0;
const NFT_CT_STATUS: u32 = 2;
/** Bits of `ct state`: established and related. */
const CT_ESTABLISHED_RELATED: u32 = 2 | 4;
/** Bit of `ct status`: IPS_DST_NAT. */
const CT_DNAT: u32 = 32;

const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;
const NFT_FIB_RESULT_ADDRTYPE: u32 = 3;
const NFTA_FIB_F_DADDR: u32 = 2;
const RTN_LOCAL: u32 = 2;
const NFT_NAT_DNAT: u32 = 1;

const VERDICT: u32 = 0;
/** NFT_REG32_00: registers of 4 bytes, what is longer takes several in a row. */
const FIRST: u32 = 8;
const IFNAMSIZ = 16;

/** Expressions are added between `new Rule` and `end`. All must hold, from left to right. */
export class Rule {
  private out: ByteWriter;
  private start: i32;
  private list: i32;

  constructor(
    private batch: NftBatch,
    chain: string,
  ) {
    this.out = batch.out;
    this.start = batch.beginRule(chain);
    this.list = nest(this.out, 4);
  }

  end(): void {
    endAttribute(this.out, this.list);
    this.batch.endRule(this.start);
  }

  /** `end` with a last expression: NF_DROP or NF_ACCEPT. */
  verdict(code: u32): void {
    const immediate = this.expression('immediate');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, VERDICT);
    const value = nest(this.out, 2);
    const verdict = nest(this.out, 2);
    numberAttribute(this.out, 1, code);
    endAttribute(this.out, verdict);
    endAttribute(this.out, value);
    this.finish(immediate, data);
    this.end();
  }

  private expression(name: string): i32 {
    const element = nest(this.out, NFTA_LIST_ELEM);
    textAttribute(this.out, 1, name);
    return element;
  }

  private finish(element: i32, data: i32): void {
    endAttribute(this.out, data);
    endAttribute(this.out, element);
  }

  private meta(register: u32, key: u32): void {
    const meta = this.expression('meta');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, register);
    numberAttribute(this.out, 2, key);
    this.finish(meta, data);
  }

  private payload(register: u32, base: u32, offset: u32, length: u32): void {
    const payload = this.expression('payload');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, register);
    numberAttribute(this.out, 2, base);
    numberAttribute(this.out, 3, offset);
    numberAttribute(this.out, 4, length);
    this.finish(payload, data);
  }

  private get six(): bool {
    return this.batch.family == NFPROTO_IPV6;
  }

  /** Source or destination of the IP header (RFC 791, RFC 8200). */
  private address(register: u32, source: bool): void {
    const length: u32 = this.six ? 16 : 4;
    const offset: u32 = this.six ? 8 : 12;
    this.payload(register, NFT_PAYLOAD_NETWORK_HEADER, source ? offset : offset + length, length);
  }

  /** The interface's name is, or is not, this one. */
  interfaceName(key: u32, comparison: u32, name: string): Rule {
    this.meta(FIRST, key);
    const padded = new ByteWriter(IFNAMSIZ);
    padded.text(name);
    padded.zeros(IFNAMSIZ - padded.length);
    this.compare(comparison, padded);
    return this;
  }

  sourceIn(network: u8[], prefixLength: i32): Rule {
    return this.addressIn(true, NFT_CMP_EQ, network, prefixLength);
  }

  destinationIn(network: u8[], prefixLength: i32): Rule {
    return this.addressIn(false, NFT_CMP_EQ, network, prefixLength);
  }

  destinationIsNot(address: u8[]): Rule {
    return this.addressIn(false, NFT_CMP_NEQ, address, address.length * 8);
  }

  private addressIn(source: bool, comparison: u32, network: u8[], prefixLength: i32): Rule {
    this.address(FIRST, source);
    const mask = new ByteWriter(16);
    const value = new ByteWriter(16);
    for (let i = 0; i < network.length; i++) {
      const bits = max(0, min(8, prefixLength - i * 8));
      const byte: u32 = (0xff00 >> bits) & 0xff;
      mask.u8(byte);
      value.u8(<u32>network[i] & byte);
    }
    if (prefixLength < network.length * 8) this.mask(mask);
    this.compare(comparison, value);
    return this;
  }

  established(): Rule {
    return this.connection(NFT_CT_STATE, CT_ESTABLISHED_RELATED);
  }

  /** The connection's destination was translated: it came through a published port. */
  translated(): Rule {
    return this.connection(NFT_CT_STATUS, CT_DNAT);
  }

  /** Conntrack's number has one of these bits; it is in the machine's byte order. */
  private connection(key: u32, bits: u32): Rule {
    const ct = this.expression('ct');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, FIRST);
    numberAttribute(this.out, 2, key);
    this.finish(ct, data);
    const mask = new ByteWriter(4);
    mask.u32(bits);
    this.mask(mask);
    const none = new ByteWriter(4);
    none.u32(0);
    this.compare(NFT_CMP_NEQ, none);
    return this;
  }

  /** The destination is an address of this host: fib(daddr) type local. */
  destinationIsLocal(): Rule {
    const fib = this.expression('fib');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, FIRST);
    numberAttribute(this.out, 2, NFT_FIB_RESULT_ADDRTYPE);
    numberAttribute(this.out, 3, NFTA_FIB_F_DADDR);
    this.finish(fib, data);
    const local = new ByteWriter(4);
    local.u32(RTN_LOCAL);
    this.compare(NFT_CMP_EQ, local);
    return this;
  }

  /**
   * Ends the rule: destination becomes what the map has for [address,] protocol and port; no element, no match. Protocol and
   * port lie in one register each, as in the elements.
   */
  translateBy(map: string, id: u32, withAddress: bool): void {
    const words: u32 = this.six ? 4 : 1;
    const next = withAddress ? FIRST + words : FIRST;
    if (withAddress) this.address(FIRST, false);
    this.meta(next, NFT_META_L4PROTO);
    this.payload(next + 1, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
    const lookup = this.expression('lookup');
    const found = nest(this.out, 2);
    textAttribute(this.out, 1, map);
    numberAttribute(this.out, 2, FIRST);
    numberAttribute(this.out, 3, FIRST);
    numberAttribute(this.out, 4, id);
    this.finish(lookup, found);
    const nat = this.expression('nat');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, NFT_NAT_DNAT);
    numberAttribute(this.out, 2, this.batch.family);
    numberAttribute(this.out, 3, FIRST);
    numberAttribute(this.out, 5, FIRST + words);
    this.finish(nat, data);
    this.end();
  }

  /** Ends the rule: the source becomes the address of the interface that the packet leaves by. */
  masquerade(): void {
    const masq = this.expression('masq');
    this.finish(masq, nest(this.out, 2));
    this.end();
  }

  private mask(mask: ByteWriter): void {
    const bitwise = this.expression('bitwise');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, FIRST);
    numberAttribute(this.out, 2, FIRST);
    numberAttribute(this.out, 3, mask.length);
    valueAttribute(this.out, 4, mask);
    const zero = new ByteWriter(16);
    zero.zeros(mask.length);
    valueAttribute(this.out, 5, zero);
    this.finish(bitwise, data);
  }

  private compare(comparison: u32, value: ByteWriter): void {
    const cmp = this.expression('cmp');
    const data = nest(this.out, 2);
    numberAttribute(this.out, 1, FIRST);
    numberAttribute(this.out, 2, comparison);
    valueAttribute(this.out, 3, value);
    this.finish(cmp, data);
  }
}
