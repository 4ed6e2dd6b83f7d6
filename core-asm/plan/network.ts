// A bridge network: made, given its addresses, filtered, removed. Containers' own links: plan.ts, wire.ts.
import { OP_NETLINK, OP_WRITE_PROC, POLICY_IGNORE, POLICY_WARN } from '../abi';
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { parseMac, parsePrefix, Prefix } from '../network/address';
import { deleteTable, describePorts, Passage, portBatch, replaceTables } from '../network/firewall';
import { forgetFlows } from '../network/conntrack';
import { address, addressWithoutRoute, linkUp, networkRoute } from '../network/links';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../network/nftables';
import {
  attributeBytes,
  attributeText,
  attributeU32,
  beginAttribute,
  beginMessage,
  endAttribute,
  endMessage,
  IFLA_ADDRESS,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MTU,
  linkHeader,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_DELLINK,
  RTM_NEWLINK,
} from '../network/rtnetlink';
import { refuse } from '../status';
import { ProgramWriter } from './program';

const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;
const IFNAME_MAX = 15;

function nameOf(request: Json): string {
  const name = request.str('name');
  if (name.length == 0 || name.length > IFNAME_MAX || name.includes('/')) refuse('INTERFACE_NAME', 'name', name);
  return name;
}

/** {name, index, mac, mtu, alias}: the bridge itself, with an interface index chosen ahead; one that is there already stays. */
export function planBridge(program: ProgramWriter, request: Json): void {
  const messages = new ByteWriter(512);
  const message = beginMessage(messages, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  linkHeader(messages, <u32>request.int('index'), 0, 0);
  attributeText(messages, IFLA_IFNAME, nameOf(request));
  attributeBytes(messages, IFLA_ADDRESS, parseMac(request.str('mac'), 'mac'));
  const mtu = <u32>request.int('mtu');
  if (mtu > 0) attributeU32(messages, IFLA_MTU, mtu);
  const info = beginAttribute(messages, IFLA_LINKINFO);
  attributeText(messages, IFLA_INFO_KIND, 'bridge');
  endAttribute(messages, info);
  endMessage(messages, message);
  if (request.str('alias') != '') {
    // A link that is being made takes none.
    const change = beginMessage(messages, RTM_NEWLINK, 0);
    linkHeader(messages, <u32>request.int('index'), 0, 0);
    attributeText(messages, IFLA_IFALIAS, request.str('alias'));
    endMessage(messages, change);
  }
  program
    .op(OP_NETLINK)
    .imm(NETLINK_ROUTE)
    .buffer(messages.view())
    .policy(POLICY_IGNORE)
    .because('the bridge may be there already');
}

/** {name, index, address: "172.17.0.1/16"}: link up and the network's route; fails with EEXIST where another has this network. */
export function planBridgeClaim(program: ProgramWriter, request: Json): void {
  const index = <u32>request.int('index');
  const prefix = parsePrefix(request.str('address'), 'address');
  const messages = new ByteWriter(128);
  quietIPv6(program, nameOf(request));
  linkUp(messages, index);
  networkRoute(messages, index, prefix.network(), <u32>prefix.length);
  program
    .op(OP_NETLINK)
    .imm(NETLINK_ROUTE)
    .buffer(messages.view())
    .because('nobody else on this host has the same network');
}

/** {name, index, address, address6: "" or "fd…::1/64", acceptRa: interfaces}: link up, addresses, forwarding. */
export function planBridgeUp(program: ProgramWriter, request: Json): void {
  const name = nameOf(request);
  const index = <u32>request.int('index');
  const address6 = request.str('address6');
  const ipv4 = '/proc/sys/net/ipv4/conf/' + name;
  const ipv6 = '/proc/sys/net/ipv6/conf/' + name;
  if (address6 != '')
    program
      .op(OP_WRITE_PROC)
      .str(ipv6 + '/disable_ipv6')
      .content('0')
      .policy(POLICY_WARN);
  const up = new ByteWriter(64);
  linkUp(up, index);
  program.op(OP_NETLINK).imm(NETLINK_ROUTE).buffer(up.view()).because('the bridge is up');
  giveAddress(program, index, request.str('address'));
  if (address6 != '') giveAddress(program, index, address6);
  program
    .op(OP_WRITE_PROC)
    .str(ipv4 + '/route_localnet')
    .content('1')
    .policy(POLICY_WARN)
    .because("127.0.0.1's published ports lead to the bridge");
  program.op(OP_WRITE_PROC).str('/proc/sys/net/ipv4/ip_forward').content('1').policy(POLICY_WARN);
  if (address6 == '') return;
  const routed = request.strings('acceptRa');
  for (let i = 0; i < routed.length; i++)
    program
      .op(OP_WRITE_PROC)
      .str('/proc/sys/net/ipv6/conf/' + routed[i] + '/accept_ra')
      .content('2')
      .policy(POLICY_WARN)
      .because('a host that forwards would lose the default route that its router announces');
  program.op(OP_WRITE_PROC).str('/proc/sys/net/ipv6/conf/all/forwarding').content('1').policy(POLICY_WARN);
}

/** Before the link is up, or it would ask for routers, and look for two seconds whether others have its addresses. */
function quietIPv6(program: ProgramWriter, name: string): void {
  const settings: string[] = ['accept_dad', 'accept_ra'];
  for (let i = 0; i < settings.length; i++)
    program
      .op(OP_WRITE_PROC)
      .str('/proc/sys/net/ipv6/conf/' + name + '/' + settings[i])
      .content('0')
      .policy(POLICY_IGNORE)
      .because('where there is IPv6');
}

function giveAddress(program: ProgramWriter, index: u32, text: string): void {
  const messages = new ByteWriter(128);
  if (text.includes(':')) address(messages, index, text);
  else addressWithoutRoute(messages, index, text);
  program
    .op(OP_NETLINK)
    .imm(NETLINK_ROUTE)
    .buffer(messages.view())
    .policy(POLICY_IGNORE)
    .because('the address may be there already');
}

/** {name, subnets: one a family, ports, and what `Passage` reads}: the tables of the bridge, replaced whole, with all ports that are published. */
export function planFirewall(program: ProgramWriter, request: Json): void {
  const texts = request.strings('subnets');
  const subnets: Prefix[] = [];
  for (let i = 0; i < texts.length; i++) subnets.push(parsePrefix(texts[i], 'subnets'));
  program
    .op(OP_NETLINK)
    .imm(NETLINK_NETFILTER)
    .buffer(replaceTables(nameOf(request), subnets, request.list('ports'), new Passage(request)).view())
    .because('published ports in, masqueraded out, nothing else');
}

/** The container's elements in the maps of the bridge: what a published port is. */
export function publishPorts(program: ProgramWriter, network: Json): void {
  const firewall = network.child('firewall');
  const ports = firewall.list('ports');
  const batch = portBatch(firewall.str('table'), ports, true);
  if (batch.length > 0)
    program
      .op(OP_NETLINK)
      .imm(NETLINK_NETFILTER)
      .buffer(batch.view())
      .because('publish ' + describePorts(ports));
}

/** They go, and with them what conntrack remembers of datagrams: clients that go on sending find who is published next. */
export function unpublishPorts(program: ProgramWriter, network: Json): void {
  const firewall = network.child('firewall');
  const ports = firewall.list('ports');
  const batch = portBatch(firewall.str('table'), ports, false);
  if (batch.length > 0)
    program
      .op(OP_NETLINK)
      .imm(NETLINK_NETFILTER)
      .buffer(batch.view())
      .policy(POLICY_IGNORE)
      .because('nothing is published any more');
  const flows = forgetFlows(ports);
  for (let i = 0; i < flows.length; i++)
    program
      .op(OP_NETLINK)
      .imm(NETLINK_NETFILTER)
      .buffer(flows[i].view())
      .policy(POLICY_IGNORE)
      .because('conntrack forgets datagrams to the container');
}

/** {name}: bridge and tables are gone. */
export function planBridgeRemoval(program: ProgramWriter, request: Json): void {
  const families: u32[] = [NFPROTO_IPV4, NFPROTO_IPV6];
  for (let i = 0; i < families.length; i++)
    program
      .op(OP_NETLINK)
      .imm(NETLINK_NETFILTER)
      .buffer(deleteTable(nameOf(request), families[i]).view())
      .policy(POLICY_IGNORE);
  const messages = new ByteWriter(64);
  const message = beginMessage(messages, RTM_DELLINK, 0);
  linkHeader(messages, 0, 0, 0);
  attributeText(messages, IFLA_IFNAME, nameOf(request));
  endMessage(messages, message);
  program.op(OP_NETLINK).imm(NETLINK_ROUTE).buffer(messages.view()).policy(POLICY_IGNORE);
}
