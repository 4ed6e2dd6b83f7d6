// Events of containers, with the attributes that docker gives every one of them: image, name, labels.
import type { Container } from './container.ts';
import type { Events } from './events.ts';
import type { ContainerRecord } from './record.ts';

export type Announce = (container: Container, action: string, attributes?: Record<string, string>) => void;

export function createAnnounce(events: Events): Announce {
  return ({ record: { id, name, config } }, action, attributes = {}) =>
    events.emit('container', action, id, { ...config.labels, image: config.image, name, ...attributes });
}

/** With its start and its end: the networks that it comes into and leaves. */
export function announceNetworks(events: Events, { id, endpoints }: ContainerRecord, action: string): void {
  for (const { network, networkId } of Object.values(endpoints))
    events.emit('network', action, networkId, { container: id, name: network, type: 'bridge' });
}
