// rtnetlink messages (rtnetlink(7), linux/if_link.h) appended to one batch.
import { ByteWriter } from '../bytes';

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_NEWROUTE = 24;
export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_IFALIAS = 20;
export const IFLA_MASTER = 10;
export const IFLA_LINKINFO = 18;
export const IFLA_EXT_MASK = 29;
export const IFLA_NET_NS_PID = 19;
export const IFLA_NET_NS_FD = 28;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_INFO_SLAVE_KIND = 4;
export const IFLA_INFO_SLAVE_DATA = 5;
export const IFLA_BRPORT_MODE = 4;
export const IFLA_BRPORT_ISOLATED = 33;
export const VETH_INFO_PEER = 1;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_FLAGS = 8;
export const RTA_DST = 1;
export const RTA_GATEWAY = 5;
export const RTA_OIF = 4;
export const IFF_UP: u32 = 1;
export const AF_INET: u32 = 2;
export const AF_INET6: u32 = 10;

/** Begins a message; give the result to `endMessage`. */
export function beginMessage(out: ByteWriter, type: i32, flags: i32): i32 {
  out.align(4);
  const start = out.length;
  out.u32(0);
  out.u16(type);
  out.u16(NLM_F_REQUEST | NLM_F_ACK | flags);
  out.u32(0);
  out.u32(0);
  return start;
}

export function endMessage(out: ByteWriter, start: i32): void {
  out.setU32(start, out.length - start);
  out.align(4);
}

/** struct ifinfomsg. */
export function linkHeader(out: ByteWriter, index: u32, flags: u32, change: u32): void {
  out.u32(0);
  out.u32(index);
  out.u32(flags);
  out.u32(change);
}

/** Begins an attribute, nested or not; give the result to `endAttribute`. */
export function beginAttribute(out: ByteWriter, type: i32): i32 {
  out.align(4);
  const start = out.length;
  out.u16(0);
  out.u16(type);
  return start;
}

export function endAttribute(out: ByteWriter, start: i32): void {
  out.setU16(start, out.length - start);
  out.align(4);
}

export function attributeText(out: ByteWriter, type: i32, text: string): void {
  const start = beginAttribute(out, type);
  out.cstring(text);
  endAttribute(out, start);
}

export function attributeU8(out: ByteWriter, type: i32, value: u32): void {
  const start = beginAttribute(out, type);
  out.u8(value);
  endAttribute(out, start);
}

export function attributeU32(out: ByteWriter, type: i32, value: u32): void {
  const start = beginAttribute(out, type);
  out.u32(value);
  endAttribute(out, start);
}

export function attributeBytes(out: ByteWriter, type: i32, bytes: u8[]): void {
  const start = beginAttribute(out, type);
  for (let i = 0; i < bytes.length; i++) out.u8(bytes[i]);
  endAttribute(out, start);
}
