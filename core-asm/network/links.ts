// A container's interfaces: the host ends made from outside with their peers already inside, the rest done inside.
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { parseAddress, parseMac } from './address';
import {
  AF_INET,
  AF_INET6,
  attributeBytes,
  attributeText,
  attributeU32,
  beginAttribute,
  beginMessage,
  endAttribute,
  endMessage,
  IFA_ADDRESS,
  IFA_LOCAL,
  IFF_UP,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_NET_NS_PID,
  linkHeader,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTA_GATEWAY,
  RTA_OIF,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  VETH_INFO_PEER,
} from './rtnetlink';

/** Index of lo in every network namespace; the container's interfaces follow. */
const LO: u32 = 1;

/** Veth pairs, host end on its bridge and up. Returns the offsets of the 4 bytes that take the container's pid. */
export function hostLinks(out: ByteWriter, interfaces: Json[]): i32[] {
  const patches: i32[] = [];
  for (let i = 0; i < interfaces.length; i++) {
    const link = interfaces[i];
    const message = beginMessage(out, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    linkHeader(out, 0, IFF_UP, IFF_UP);
    attributeText(out, IFLA_IFNAME, link.str('hostName'));
    attributeU32(out, IFLA_MASTER, <u32>link.int('bridgeIndex'));
    const info = beginAttribute(out, IFLA_LINKINFO);
    attributeText(out, IFLA_INFO_KIND, 'veth');
    const data = beginAttribute(out, IFLA_INFO_DATA);
    const peer = beginAttribute(out, VETH_INFO_PEER);
    linkHeader(out, LO + 1 + i, 0, 0);
    attributeText(out, IFLA_IFNAME, link.str('name'));
    attributeBytes(out, IFLA_ADDRESS, parseMac(link.str('mac'), 'network.mac'));
    patches.push(out.length + 4);
    attributeU32(out, IFLA_NET_NS_PID, 0);
    endAttribute(out, peer);
    endAttribute(out, data);
    endAttribute(out, info);
    endMessage(out, message);
  }
  return patches;
}

/** Inside: lo up, then each interface's addresses, link and default routes. */
export function containerLinks(out: ByteWriter, network: Json): void {
  linkUp(out, LO);
  const interfaces = network.list('interfaces');
  for (let i = 0; i < interfaces.length; i++) {
    const index = LO + 1 + <u32>i;
    const addresses = interfaces[i].strings('addresses');
    for (let j = 0; j < addresses.length; j++) address(out, index, addresses[j]);
    linkUp(out, index);
    const gateways = interfaces[i].strings('gateways');
    for (let j = 0; j < gateways.length; j++) defaultRoute(out, index, gateways[j]);
  }
}

export function linkUp(out: ByteWriter, index: u32): void {
  const message = beginMessage(out, RTM_NEWLINK, 0);
  linkHeader(out, index, IFF_UP, IFF_UP);
  endMessage(out, message);
}

/** IFA_F_NODAD: usable at once. */
const NODAD: u32 = 0x02;

export function address(out: ByteWriter, index: u32, text: string): void {
  const slash = text.indexOf('/');
  const bytes = parseAddress(slash < 0 ? text : text.substring(0, slash), 'network.addresses');
  const six = bytes.length == 16;
  const message = beginMessage(out, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  out.u8(six ? AF_INET6 : AF_INET);
  out.u8(slash < 0 ? (six ? 128 : 32) : <u32>parseInt(text.substring(slash + 1)));
  out.u8(six ? NODAD : 0);
  out.u8(0);
  out.u32(index);
  attributeBytes(out, IFA_LOCAL, bytes);
  attributeBytes(out, IFA_ADDRESS, bytes);
  endMessage(out, message);
}

function defaultRoute(out: ByteWriter, index: u32, gateway: string): void {
  const bytes = parseAddress(gateway, 'network.gateways');
  const message = beginMessage(out, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL);
  // struct rtmsg: family, dst_len, src_len, tos, table main, protocol boot, scope universe, type unicast.
  out.u8(bytes.length == 16 ? AF_INET6 : AF_INET);
  out.u8(0);
  out.u8(0);
  out.u8(0);
  out.u8(254);
  out.u8(3);
  out.u8(0);
  out.u8(1);
  out.u32(0);
  attributeBytes(out, RTA_GATEWAY, bytes);
  attributeU32(out, RTA_OIF, index);
  endMessage(out, message);
}
