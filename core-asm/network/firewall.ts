// The rules of one bridge: a table of its own for each family, and in it the maps of published ports.
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { parseAddress, Prefix } from './address';
import {
  Element,
  NF_INET_FORWARD,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NftBatch,
} from './nftables';
import { NF_ACCEPT, NF_DROP, NFT_CMP_EQ, NFT_CMP_NEQ, NFT_META_IIFNAME, NFT_META_OIFNAME, Rule } from './rule';

const PRIORITY_RAW = -300;
const PRIORITY_DSTNAT = -100;
const PRIORITY_FILTER = 0;
const PRIORITY_SRCNAT = 100;

/** Ports of every address of this host, and those of one address only. */
const EVERYWHERE = 'ports';
const ADDRESSED = 'addressed_ports';
const EVERYWHERE_ID: u32 = 1;
const ADDRESSED_ID: u32 = 2;

/** nft's numbers of types (its include/datatype.h); a concatenation shifts by six bits. */
const TYPE_IPADDR: u32 = 7;
const TYPE_IP6ADDR: u32 = 8;
const TYPE_INET_PROTOCOL: u32 = 12;
const TYPE_INET_SERVICE: u32 = 13;

const IPPROTO_TCP: u32 = 6;
const IPPROTO_UDP: u32 = 17;

function loopback(six: bool): u8[] {
  return six ? parseAddress('::1', 'loopback') : parseAddress('127.0.0.0', 'loopback');
}

function familyOf(address: u8[]): u32 {
  return address.length == 16 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

/** What a bridge lets through beside the rule: {internal, isolated, direct}. */
export class Passage {
  /** Nothing in or out but by this host itself. */
  internal: bool;
  /** Containers of the bridge do not reach each other either. */
  isolated: bool;
  /** Containers keep their own addresses outside. */
  direct: bool;

  constructor(request: Json) {
    this.internal = request.flag('internal');
    this.isolated = request.flag('isolated');
    this.direct = request.flag('direct');
  }
}

/** The tables anew in one batch: no moment without them, nothing else of the host's rules is touched. */
export function replaceTables(name: string, subnets: Prefix[], ports: Json[], passage: Passage): ByteWriter {
  const batch = new NftBatch(name);
  for (let i = 0; i < subnets.length; i++) replaceTable(batch, subnets[i], ports, passage);
  return batch.finish();
}

function replaceTable(batch: NftBatch, subnet: Prefix, ports: Json[], passage: Passage): void {
  batch.family = familyOf(subnet.address);
  batch.addTable();
  batch.deleteTable();
  batch.addTable();
  portMaps(batch);
  guardLoopback(batch);
  translate(batch, 'prerouting', NF_INET_PRE_ROUTING);
  translate(batch, 'output', NF_INET_LOCAL_OUT);
  forward(batch, passage);
  masquerade(batch, subnet, passage);
  batch.addElements(EVERYWHERE, elementsOf(ports, batch.family, false));
  batch.addElements(ADDRESSED, elementsOf(ports, batch.family, true));
}

/** The table of one family: where one is missing, nothing of the batch is done. */
export function deleteTable(name: string, family: u32): ByteWriter {
  const batch = new NftBatch(name);
  batch.family = family;
  batch.deleteTable();
  return batch.finish();
}

function portMaps(batch: NftBatch): void {
  const six = batch.family == NFPROTO_IPV6;
  const address: u32 = six ? TYPE_IP6ADDR : TYPE_IPADDR;
  const length: u32 = six ? 16 : 4;
  const port = (TYPE_INET_PROTOCOL << 6) | TYPE_INET_SERVICE;
  const target = (address << 6) | TYPE_INET_SERVICE;
  batch.map(EVERYWHERE, EVERYWHERE_ID, port, 8, target, length + 4);
  batch.map(ADDRESSED, ADDRESSED_ID, (address << 12) | port, length + 8, target, length + 4);
}

/**
 * route_localnet lets 127.0.0.1 in by the bridge, and a translated destination is never seen as a martian: so what names a
 * loopback address and does not come from lo is dropped before anything else looks at it (CVE-2020-8558, CVE-2025-54388).
 * The kernel itself drops ::1 from elsewhere.
 */
function guardLoopback(batch: NftBatch): void {
  if (batch.family != NFPROTO_IPV4) return;
  batch.chain('loopback', 'filter', NF_INET_PRE_ROUTING, PRIORITY_RAW);
  new Rule(batch, 'loopback')
    .interfaceName(NFT_META_IIFNAME, NFT_CMP_NEQ, 'lo')
    .destinationIn(loopback(false), 8)
    .verdict(NF_DROP);
  new Rule(batch, 'loopback')
    .interfaceName(NFT_META_IIFNAME, NFT_CMP_EQ, batch.table)
    .sourceIn(loopback(false), 8)
    .verdict(NF_DROP);
}

/** From elsewhere and from this host alike. ::1 cannot leave lo: the engine carries that. */
function translate(batch: NftBatch, chain: string, hook: u32): void {
  batch.chain(chain, 'nat', hook, PRIORITY_DSTNAT);
  new Rule(batch, chain).translateBy(ADDRESSED, ADDRESSED_ID, true);
  const local = new Rule(batch, chain).destinationIsLocal();
  if (batch.family == NFPROTO_IPV6) local.destinationIsNot(loopback(true));
  local.translateBy(EVERYWHERE, EVERYWHERE_ID, false);
}

/** From outside the bridge only answers and what a published port translated: nobody addresses a container directly. */
function forward(batch: NftBatch, passage: Passage): void {
  const name = batch.table;
  batch.chain('forward', 'filter', NF_INET_FORWARD, PRIORITY_FILTER);
  if (passage.internal)
    new Rule(batch, 'forward')
      .interfaceName(NFT_META_IIFNAME, NFT_CMP_EQ, name)
      .interfaceName(NFT_META_OIFNAME, NFT_CMP_NEQ, name)
      .verdict(NF_DROP);
  else {
    new Rule(batch, 'forward').interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name).established().verdict(NF_ACCEPT);
    new Rule(batch, 'forward').interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name).translated().verdict(NF_ACCEPT);
  }
  // Ports of the bridge are isolated from each other; who routes by way of the gateway meets this.
  if (passage.isolated)
    new Rule(batch, 'forward')
      .interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name)
      .interfaceName(NFT_META_IIFNAME, NFT_CMP_EQ, name)
      .verdict(NF_DROP);
  new Rule(batch, 'forward')
    .interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name)
    .interfaceName(NFT_META_IIFNAME, NFT_CMP_NEQ, name)
    .verdict(NF_DROP);
}

function masquerade(batch: NftBatch, subnet: Prefix, passage: Passage): void {
  const name = batch.table;
  batch.chain('postrouting', 'nat', NF_INET_POST_ROUTING, PRIORITY_SRCNAT);
  if (!passage.internal && !passage.direct)
    new Rule(batch, 'postrouting')
      .sourceIn(subnet.address, subnet.length)
      .interfaceName(NFT_META_OIFNAME, NFT_CMP_NEQ, name)
      .masquerade();
  // A container at a published port, its own too: the answer must come back this way.
  new Rule(batch, 'postrouting')
    .sourceIn(subnet.address, subnet.length)
    .interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name)
    .translated()
    .masquerade();
  if (batch.family == NFPROTO_IPV4)
    new Rule(batch, 'postrouting')
      .sourceIn(loopback(false), 8)
      .interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name)
      .masquerade();
}

function elementsOf(ports: Json[], family: u32, addressed: bool): Element[] {
  const elements: Element[] = [];
  for (let i = 0; i < ports.length; i++) {
    const port = ports[i];
    const address = parseAddress(port.str('address'), 'ports.address');
    const hostIp = port.str('hostIp');
    if (familyOf(address) != family || (hostIp != '') != addressed) continue;
    const key = new ByteWriter(32);
    if (addressed) bytes(key, parseAddress(hostIp, 'ports.hostIp'));
    key.u8(port.str('protocol') == 'udp' ? IPPROTO_UDP : IPPROTO_TCP);
    key.zeros(3);
    service(key, <u32>port.int('hostPort'));
    const value = new ByteWriter(32);
    bytes(value, address);
    service(value, <u32>port.int('containerPort'));
    elements.push(new Element(key, value, port.str('owner')));
  }
  return elements;
}

function bytes(out: ByteWriter, list: u8[]): void {
  for (let i = 0; i < list.length; i++) out.u8(list[i]);
}

/** A port fills a register of 4 bytes. */
function service(out: ByteWriter, port: u32): void {
  out.u16be(port);
  out.zeros(2);
}

/** Adds or deletes the elements of these ports; empty where there are none. */
export function portBatch(name: string, ports: Json[], add: bool): ByteWriter {
  if (ports.length == 0) return new ByteWriter(0);
  const batch = new NftBatch(name);
  const families: u32[] = [NFPROTO_IPV4, NFPROTO_IPV6];
  for (let i = 0; i < families.length; i++) {
    batch.family = families[i];
    const everywhere = elementsOf(ports, families[i], false);
    const addressed = elementsOf(ports, families[i], true);
    if (add) {
      batch.addElements(EVERYWHERE, everywhere);
      batch.addElements(ADDRESSED, addressed);
    } else {
      batch.deleteElements(EVERYWHERE, everywhere);
      batch.deleteElements(ADDRESSED, addressed);
    }
  }
  return batch.finish();
}

/**
 * Inside a container: what it asks of its resolver's well-known port reaches the sockets that answer. They lie elsewhere, for
 * the container's own program may be a name server that takes the well-known port of every address.
 */
export function resolverTable(name: string, ports: Json[]): ByteWriter {
  const batch = new NftBatch(name);
  batch.addTable();
  portMaps(batch);
  batch.chain('output', 'nat', NF_INET_LOCAL_OUT, PRIORITY_DSTNAT);
  new Rule(batch, 'output').translateBy(ADDRESSED, ADDRESSED_ID, true);
  batch.addElements(ADDRESSED, elementsOf(ports, batch.family, true));
  return batch.finish();
}

const PORTS_NAMED = 4;

/** "tcp 8080 to 172.17.0.2:80, udp 127.0.0.1:53 to 172.17.0.2:53 and 7 more", for readers of the plan. */
export function describePorts(ports: Json[]): string {
  const texts: string[] = [];
  for (let i = 0; i < min(ports.length, PORTS_NAMED); i++) {
    const port = ports[i];
    const from = endOf(port.str('hostIp'), port.int('hostPort'));
    texts.push(port.str('protocol') + ' ' + from + ' to ' + endOf(port.str('address'), port.int('containerPort')));
  }
  const more = ports.length - PORTS_NAMED;
  return texts.join(', ') + (more > 0 ? ' and ' + more.toString() + ' more' : '');
}

function endOf(address: string, port: i64): string {
  if (address == '') return port.toString();
  return (address.includes(':') ? '[' + address + ']' : address) + ':' + port.toString();
}
