// Changes to the network of a running container, and the resolver that user-defined networks give it.
import {
  OP_CLOSE,
  OP_CONTAINER_PIDFD,
  OP_NETLINK,
  OP_OPENAT,
  OP_PATCH32,
  OP_RESOLVER,
  OP_SETNS,
  POLICY_IGNORE,
  POLICY_WARN,
} from '../abi';
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { AT_FDCWD, CLONE_NEWNET, O_CLOEXEC } from '../kernel';
import { resolverTable } from '../network/firewall';
import { hostLinks, interfaceUp, moveDefaultRoute, settleHostLinks } from '../network/links';
import {
  attributeText,
  beginMessage,
  endMessage,
  IFLA_IFNAME,
  IFLA_NET_NS_FD,
  linkHeader,
  RTM_DELLINK,
} from '../network/rtnetlink';
import { ProgramWriter } from './program';

const NETLINK_ROUTE = 0;
const NETLINK_NETFILTER = 12;

function openNamespace(program: ProgramWriter): i32 {
  return program.op(OP_OPENAT).imm(AT_FDCWD).str('/proc/self/ns/net').imm(O_CLOEXEC).imm(0).into();
}

function enter(program: ProgramWriter, namespace: i32, reason: string): void {
  program.op(OP_SETNS).reg(namespace).imm(CLONE_NEWNET).because(reason);
}

/**
 * {removed: host ends, interfaces, routes: [{index, gateway}], resolver?} of the container whose supervisor runs this: interfaces
 * go and come while it runs. An interface that comes names its index in the container.
 */
export function planWire(program: ProgramWriter, request: Json): void {
  removeLinks(program, request.strings('removed'));
  const interfaces = request.list('interfaces');
  const own = openNamespace(program);
  const container = program.op(OP_CONTAINER_PIDFD).into();
  enter(program, container, "the container's network");
  const there = openNamespace(program);
  enter(program, own, 'back');
  const links = new ByteWriter(1024);
  const patches = hostLinks(links, interfaces, IFLA_NET_NS_FD);
  const blob = program.blob(links.view());
  for (let i = 0; i < patches.length; i++)
    program
      .op(OP_PATCH32)
      .imm(blob + patches[i])
      .reg(there)
      .because('the peer goes to the container');
  if (interfaces.length > 0)
    program.op(OP_NETLINK).imm(NETLINK_ROUTE).pointer(blob).imm(links.length).because('veth pair on the bridge');
  enter(program, there, 'addresses and routes are given inside');
  const inside = new ByteWriter(1024);
  for (let i = 0; i < interfaces.length; i++) interfaceUp(inside, interfaces[i], i);
  const routes = request.list('routes');
  for (let i = 0; i < routes.length; i++) moveDefaultRoute(inside, routes[i]);
  if (inside.length > 0) program.op(OP_NETLINK).imm(NETLINK_ROUTE).buffer(inside.view());
  const resolver = request.get('resolver');
  if (resolver != null) resolve(program, resolver);
  enter(program, own, 'back');
  const settled = new ByteWriter(256);
  settleHostLinks(settled, interfaces);
  if (settled.length > 0)
    program
      .op(OP_NETLINK)
      .imm(NETLINK_ROUTE)
      .buffer(settled.view())
      .policy(POLICY_IGNORE)
      .because('host end and bridge carry from now on');
}

/** {names}: interfaces of this host that go, and their peers with them. */
export function removeLinks(program: ProgramWriter, names: string[]): void {
  for (let i = 0; i < names.length; i++) {
    const messages = new ByteWriter(64);
    const message = beginMessage(messages, RTM_DELLINK, 0);
    linkHeader(messages, 0, 0, 0);
    attributeText(messages, IFLA_IFNAME, names[i]);
    endMessage(messages, message);
    program
      .op(OP_NETLINK)
      .imm(NETLINK_ROUTE)
      .buffer(messages.view())
      .policy(POLICY_IGNORE)
      .because('the interface goes');
  }
}

/** In the supervisor, once lo is up: the container's resolver. @param container register of its pidfd. */
export function startResolver(program: ProgramWriter, resolver: Json, container: i32): void {
  const own = openNamespace(program);
  enter(program, container, "the container's network");
  resolve(program, resolver);
  enter(program, own, 'back');
  program.op(OP_CLOSE).reg(own);
  program.free(own);
}

/** {socket, address, port, ports: what is translated to them}. */
function resolve(program: ProgramWriter, resolver: Json): void {
  const ports = resolver.list('ports');
  if (ports.length > 0)
    program
      .op(OP_NETLINK)
      .imm(NETLINK_NETFILTER)
      .buffer(resolverTable('gantry', ports).view())
      .policy(POLICY_WARN)
      .because('the well-known port of the resolver');
  program
    .op(OP_RESOLVER)
    .str(resolver.str('socket'))
    .str(resolver.str('address'))
    .imm(resolver.int('port'))
    .because('names of other containers');
}
