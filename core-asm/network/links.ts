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
  attributeU8,
  beginAttribute,
  beginMessage,
  endAttribute,
  endMessage,
  IFA_ADDRESS,
  IFA_LOCAL,
  IFF_UP,
  IFA_FLAGS,
  IFLA_ADDRESS,
  IFLA_BRPORT_ISOLATED,
  IFLA_BRPORT_MODE,
  IFLA_EXT_MASK,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_INFO_SLAVE_DATA,
  IFLA_INFO_SLAVE_KIND,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  linkHeader,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  RTA_DST,
  RTA_GATEWAY,
  RTA_OIF,
  RTM_GETLINK,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  VETH_INFO_PEER,
} from './rtnetlink';

/** Index of lo in every network namespace; the container's interfaces follow. */
const LO: u32 = 1;

/** Index of a container's interface there: as given, or by its place. */
function indexOf(link: Json, place: i32): u32 {
  const index = link.int('index');
  return index > 0 ? <u32>index : LO + 1 + place;
}

/**
 * Veth pairs, host end on its bridge and up. Returns the offsets of the 4 bytes that take what names the container's network
 * namespace: IFLA_NET_NS_PID or IFLA_NET_NS_FD.
 */
export function hostLinks(out: ByteWriter, interfaces: Json[], namespace: i32): i32[] {
  const patches: i32[] = [];
  for (let i = 0; i < interfaces.length; i++) {
    const link = interfaces[i];
    const message = beginMessage(out, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    // veth heeds the peer's index only where this one is given, too.
    linkHeader(out, <u32>link.int('hostIndex'), IFF_UP, IFF_UP);
    attributeText(out, IFLA_IFNAME, link.str('hostName'));
    attributeU32(out, IFLA_MASTER, <u32>link.int('bridgeIndex'));
    const mtu = <u32>link.int('mtu');
    if (mtu > 0) attributeU32(out, IFLA_MTU, mtu);
    const info = beginAttribute(out, IFLA_LINKINFO);
    attributeText(out, IFLA_INFO_KIND, 'veth');
    const data = beginAttribute(out, IFLA_INFO_DATA);
    const peer = beginAttribute(out, VETH_INFO_PEER);
    linkHeader(out, indexOf(link, i), 0, 0);
    attributeText(out, IFLA_IFNAME, link.str('name'));
    if (mtu > 0) attributeU32(out, IFLA_MTU, mtu);
    attributeBytes(out, IFLA_ADDRESS, parseMac(link.str('mac'), 'network.mac'));
    patches.push(out.length + 4);
    attributeU32(out, namespace, 0);
    endAttribute(out, peer);
    endAttribute(out, data);
    endAttribute(out, info);
    endMessage(out, message);
    if (link.flag('hairpin') || link.flag('isolated')) bridgePort(out, link);
  }
  return patches;
}

/**
 * Once both ends are up. Carrier that came up works only when the kernel's link watch has run, in its own time: until then
 * frames are dropped, and a first connection waits a second for its next try. Asking for a link runs it (since Linux 6.8).
 */
export function settleHostLinks(out: ByteWriter, interfaces: Json[]): void {
  for (let i = 0; i < interfaces.length; i++) {
    settleLink(out, 0, interfaces[i].str('hostName'));
    settleLink(out, <u32>interfaces[i].int('bridgeIndex'), '');
  }
}

function settleLink(out: ByteWriter, index: u32, name: string): void {
  const message = beginMessage(out, RTM_GETLINK, 0);
  linkHeader(out, index, 0, 0);
  if (name != '') attributeText(out, IFLA_IFNAME, name);
  attributeU32(out, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  endMessage(out, message);
}

const RTEXT_FILTER_SKIP_STATS: u32 = 8;

/**
 * Hairpin: a frame may leave by the port it came in: a container at its own published port, where bridges are filtered.
 * Isolated: frames go between this port and the host, not to other isolated ones.
 */
function bridgePort(out: ByteWriter, link: Json): void {
  const message = beginMessage(out, RTM_NEWLINK, 0);
  linkHeader(out, 0, 0, 0);
  attributeText(out, IFLA_IFNAME, link.str('hostName'));
  const info = beginAttribute(out, IFLA_LINKINFO);
  attributeText(out, IFLA_INFO_SLAVE_KIND, 'bridge');
  const data = beginAttribute(out, IFLA_INFO_SLAVE_DATA);
  if (link.flag('hairpin')) attributeU8(out, IFLA_BRPORT_MODE, 1);
  if (link.flag('isolated')) attributeU8(out, IFLA_BRPORT_ISOLATED, 1);
  endAttribute(out, data);
  endAttribute(out, info);
  endMessage(out, message);
}

/** Inside: lo up, then each interface's addresses, link and default routes. */
export function containerLinks(out: ByteWriter, network: Json): void {
  linkUp(out, LO);
  const interfaces = network.list('interfaces');
  for (let i = 0; i < interfaces.length; i++) {
    interfaceUp(out, interfaces[i], i);
    const gateways = interfaces[i].strings('gateways');
    for (let j = 0; j < gateways.length; j++) defaultRoute(out, indexOf(interfaces[i], i), gateways[j], NLM_F_EXCL);
  }
}

/** Inside: its addresses, then the link itself. */
export function interfaceUp(out: ByteWriter, link: Json, place: i32): void {
  const index = indexOf(link, place);
  const addresses = link.strings('addresses');
  for (let j = 0; j < addresses.length; j++) address(out, index, addresses[j]);
  linkUp(out, index);
  settleLink(out, index, '');
}

/** {index, gateway}: the default route of that family leads there from now on. */
export function moveDefaultRoute(out: ByteWriter, route: Json): void {
  defaultRoute(out, <u32>route.int('index'), route.str('gateway'), NLM_F_REPLACE);
}

export function linkUp(out: ByteWriter, index: u32): void {
  const message = beginMessage(out, RTM_NEWLINK, 0);
  linkHeader(out, index, IFF_UP, IFF_UP);
  endMessage(out, message);
}

/** Usable at once, without duplicate address detection. */
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_NOPREFIXROUTE: u32 = 0x200;

function addressMessage(out: ByteWriter, index: u32, text: string, flags: u32): void {
  const slash = text.indexOf('/');
  const bytes = parseAddress(slash < 0 ? text : text.substring(0, slash), 'network.addresses');
  const six = bytes.length == 16;
  if (six) flags |= IFA_F_NODAD;
  const message = beginMessage(out, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  out.u8(six ? AF_INET6 : AF_INET);
  out.u8(slash < 0 ? (six ? 128 : 32) : <u32>parseInt(text.substring(slash + 1)));
  out.u8(flags & 0xff);
  out.u8(0);
  out.u32(index);
  attributeBytes(out, IFA_LOCAL, bytes);
  attributeBytes(out, IFA_ADDRESS, bytes);
  if (flags > 0xff) attributeU32(out, IFA_FLAGS, flags);
  endMessage(out, message);
}

export function address(out: ByteWriter, index: u32, text: string): void {
  addressMessage(out, index, text, 0);
}

/** An address whose network has a route already. */
export function addressWithoutRoute(out: ByteWriter, index: u32, text: string): void {
  addressMessage(out, index, text, IFA_F_NOPREFIXROUTE);
}

const RT_TABLE_MAIN: u32 = 254;
const RTPROT_BOOT: u32 = 3;
const RT_SCOPE_UNIVERSE: u32 = 0;
const RT_SCOPE_LINK: u32 = 253;
const RTN_UNICAST: u32 = 1;

/** struct rtmsg. @param flags NLM_F_EXCL: EEXIST where the same network has a route already; or NLM_F_REPLACE. */
function beginRoute(out: ByteWriter, six: bool, prefixLength: u32, scope: u32, flags: i32): i32 {
  const message = beginMessage(out, RTM_NEWROUTE, NLM_F_CREATE | flags);
  out.u8(six ? AF_INET6 : AF_INET);
  out.u8(prefixLength);
  out.u8(0);
  out.u8(0);
  out.u8(RT_TABLE_MAIN);
  out.u8(RTPROT_BOOT);
  out.u8(scope);
  out.u8(RTN_UNICAST);
  out.u32(0);
  return message;
}

export function networkRoute(out: ByteWriter, index: u32, network: u8[], prefixLength: u32): void {
  const message = beginRoute(out, network.length == 16, prefixLength, RT_SCOPE_LINK, NLM_F_EXCL);
  attributeBytes(out, RTA_DST, network);
  attributeU32(out, RTA_OIF, index);
  endMessage(out, message);
}

function defaultRoute(out: ByteWriter, index: u32, gateway: string, flags: i32): void {
  const bytes = parseAddress(gateway, 'network.gateways');
  const message = beginRoute(out, bytes.length == 16, 0, RT_SCOPE_UNIVERSE, flags);
  attributeBytes(out, RTA_GATEWAY, bytes);
  attributeU32(out, RTA_OIF, index);
  endMessage(out, message);
}
