// What leaves the guest is carried on by this process: read this file first. The guest asks, we connect, and one stream of the
// channel is one connection (flows.ts); datagrams are records of one stream for all (datagrams.ts).
import type { Channel } from '../channel/channel.ts';
import type { Uplink } from './context.ts';
import { carryDatagrams } from './datagrams.ts';
import { createDestinations } from './destinations.ts';
import { carryFlows } from './flows.ts';

/** Resolves when the guest has its way out; it ends with the channel. */
export async function openRelay(channel: Channel, uplink: Uplink): Promise<void> {
  const context = { channel, uplink, destinations: createDestinations() };
  const control = channel.open(['relay', uplink.ipv6 ? '6' : '4'], { standing: true });
  const datagrams = channel.open(['datagrams'], { standing: true });
  carryFlows(context, control);
  carryDatagrams(context, datagrams);
  await Promise.all([control.opened, datagrams.opened]);
}
