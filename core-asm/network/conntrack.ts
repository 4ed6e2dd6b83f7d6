// ctnetlink messages (linux/netfilter/nfnetlink_conntrack.h): forgetting connections.
import { ByteWriter } from '../bytes';
import { Json } from '../json';
import { parseAddress } from './address';
import { NFPROTO_IPV4, NFPROTO_IPV6, nest } from './nftables';
import { attributeBytes, attributeU32, attributeU8, beginMessage, endAttribute, endMessage } from './rtnetlink';

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_DELETE = 2;
const CTA_TUPLE_REPLY = 2;
const CTA_FILTER = 25;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V6_SRC = 3;
const CTA_PROTO_NUM = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
/** Source address and protocol count, nothing else of the tuple. */
const FILTER_SOURCE_AND_PROTOCOL: u32 = 1 | 8;
const IPPROTO_UDP: u32 = 17;

/**
 * One message for each container address of a UDP port: delete the connections that are answered from there. Kernels before
 * 6.11 take no filter for a deletion and refuse; there the connections end by themselves.
 */
export function forgetFlows(ports: Json[]): ByteWriter[] {
  const done = new Set<string>();
  const found: ByteWriter[] = [];
  for (let i = 0; i < ports.length; i++) {
    const text = ports[i].str('address');
    if (ports[i].str('protocol') != 'udp' || done.has(text)) continue;
    done.add(text);
    found.push(forget(parseAddress(text, 'ports.address')));
  }
  return found;
}

function forget(address: u8[]): ByteWriter {
  const six = address.length == 16;
  const out = new ByteWriter(96);
  const message = beginMessage(out, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE, 0);
  out.u8(six ? NFPROTO_IPV6 : NFPROTO_IPV4);
  out.zeros(3);
  const tuple = nest(out, CTA_TUPLE_REPLY);
  const ip = nest(out, CTA_TUPLE_IP);
  attributeBytes(out, six ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, address);
  endAttribute(out, ip);
  const protocol = nest(out, CTA_TUPLE_PROTO);
  attributeU8(out, CTA_PROTO_NUM, IPPROTO_UDP);
  endAttribute(out, protocol);
  endAttribute(out, tuple);
  const filter = nest(out, CTA_FILTER);
  attributeU32(out, CTA_FILTER_REPLY_FLAGS, FILTER_SOURCE_AND_PROTOCOL);
  endAttribute(out, filter);
  endMessage(out, message);
  return out;
}
