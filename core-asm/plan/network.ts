// A bridge network: made, given its address, masqueraded, removed. Containers' own links are planned with the container.
import { OP_NETLINK, OP_WRITE_PROC, POLICY_IGNORE, POLICY_WARN } from '../abi';
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { parseAddress, parseMac } from '../network/address';
import { address, linkUp } from '../network/links';
import {
  baseChain,
  beginBatch,
  CT_ESTABLISHED_RELATED,
  endBatch,
  NF_ACCEPT,
  NF_DROP,
  NF_INET_FORWARD,
  NF_INET_POST_ROUTING,
  NFT_CMP_EQ,
  NFT_CMP_NEQ,
  NFT_META_IIFNAME,
  NFT_META_OIFNAME,
  NFT_MSG_DELTABLE,
  NFT_MSG_NEWTABLE,
  Rule,
  table,
} from '../network/nftables';
import {
  attributeBytes,
  attributeText,
  beginAttribute,
  beginMessage,
  endAttribute,
  endMessage,
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
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
const PRIORITY_FILTER = 0;
const PRIORITY_SRCNAT = 100;

function nameOf(request: Json): string {
  const name = request.str('name');
  if (name.length == 0 || name.length > IFNAME_MAX || name.includes('/')) refuse('INTERFACE_NAME', 'name', name);
  return name;
}

/** {name, mac}: the bridge itself; one that is there already stays. */
export function planBridge(program: ProgramWriter, request: Json): void {
  const messages = new ByteWriter(256);
  const message = beginMessage(messages, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  linkHeader(messages, 0, 0, 0);
  attributeText(messages, IFLA_IFNAME, nameOf(request));
  attributeBytes(messages, IFLA_ADDRESS, parseMac(request.str('mac'), 'mac'));
  const info = beginAttribute(messages, IFLA_LINKINFO);
  attributeText(messages, IFLA_INFO_KIND, 'bridge');
  endAttribute(messages, info);
  endMessage(messages, message);
  program
    .op(OP_NETLINK)
    .imm(NETLINK_ROUTE)
    .buffer(messages.view())
    .policy(POLICY_IGNORE)
    .because('the bridge may be there already');
}

/** {name, index, address: "172.17.0.1/16"}: address, link up, forwarding, masquerading. */
export function planBridgeUp(program: ProgramWriter, request: Json): void {
  const index = <u32>request.int('index');
  const given = request.str('address');
  const addresses = new ByteWriter(128);
  address(addresses, index, given);
  program
    .op(OP_NETLINK)
    .imm(NETLINK_ROUTE)
    .buffer(addresses.view())
    .policy(POLICY_IGNORE)
    .because('the address may be there already');
  const up = new ByteWriter(64);
  linkUp(up, index);
  program.op(OP_NETLINK).imm(NETLINK_ROUTE).buffer(up.view()).because('the bridge is up');
  program.op(OP_WRITE_PROC).str('/proc/sys/net/ipv4/ip_forward').content('1').policy(POLICY_WARN);
  firewall(program, nameOf(request), given);
}

/** A table of the bridge's own, replaced whole: nothing else of the host's rules is touched. */
function firewall(program: ProgramWriter, name: string, given: string): void {
  dropTable(program, name);
  const slash = given.indexOf('/');
  const subnet = parseAddress(given.substring(0, slash), 'address');
  if (subnet.length != 4 || slash < 0) return refuse('ADDRESS', 'address', given);
  const out = new ByteWriter(2048);
  beginBatch(out);
  table(out, NFT_MSG_NEWTABLE, name);
  baseChain(out, name, 'postrouting', 'nat', NF_INET_POST_ROUTING, PRIORITY_SRCNAT);
  baseChain(out, name, 'forward', 'filter', NF_INET_FORWARD, PRIORITY_FILTER);
  const leaving = new Rule(out, name, 'postrouting');
  leaving.sourceIn(subnet, <i32>parseInt(given.substring(slash + 1)));
  leaving.interfaceName(NFT_META_OIFNAME, NFT_CMP_NEQ, name);
  leaving.masquerade();
  leaving.end();
  const answers = new Rule(out, name, 'forward');
  answers.interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name);
  answers.connectionState(CT_ESTABLISHED_RELATED);
  answers.verdict(NF_ACCEPT);
  answers.end();
  const foreign = new Rule(out, name, 'forward');
  foreign.interfaceName(NFT_META_OIFNAME, NFT_CMP_EQ, name);
  foreign.interfaceName(NFT_META_IIFNAME, NFT_CMP_NEQ, name);
  foreign.verdict(NF_DROP);
  foreign.end();
  endBatch(out);
  program
    .op(OP_NETLINK)
    .imm(NETLINK_NETFILTER)
    .buffer(out.view())
    .policy(POLICY_WARN)
    .because('masquerade what leaves, refuse what comes unasked');
}

function dropTable(program: ProgramWriter, name: string): void {
  const out = new ByteWriter(256);
  beginBatch(out);
  table(out, NFT_MSG_DELTABLE, name);
  endBatch(out);
  program
    .op(OP_NETLINK)
    .imm(NETLINK_NETFILTER)
    .buffer(out.view())
    .policy(POLICY_IGNORE)
    .because('rules of an earlier run');
}

/** {name, index}: bridge and table are gone. */
export function planBridgeRemoval(program: ProgramWriter, request: Json): void {
  dropTable(program, nameOf(request));
  const messages = new ByteWriter(64);
  const message = beginMessage(messages, RTM_DELLINK, 0);
  linkHeader(messages, <u32>request.int('index'), 0, 0);
  endMessage(messages, message);
  program.op(OP_NETLINK).imm(NETLINK_ROUTE).buffer(messages.view()).policy(POLICY_IGNORE);
}
