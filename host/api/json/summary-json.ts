// A container in a list, in docker's spelling.
import type { ContainerRecord } from '../../engine/record.ts';
import { mountPointJson } from './mount-json.ts';
import { networksJson, portList } from './container-network-json.ts';
import { statusText } from './status-text.ts';

/** Bytes of a container's own layer, and of that with the image's. */
export interface ContainerSize {
  own: number;
  whole: number;
}

/** @param image what to call its image: the user's words as long as they mean the same image. */
export function summaryJson(record: ContainerRecord, image: string, size?: ContainerSize): object {
  const { config } = record;
  const { networkMode } = config.host;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: image,
    ImageID: config.imageId,
    Command: commandText([...config.entrypoint, ...config.command]),
    Created: Math.floor(Date.parse(record.created) / 1000),
    Ports: portList(record),
    // Docker's client takes 0 for what is not there.
    ...(size === undefined ? {} : { SizeRw: size.own, SizeRootFs: size.whole }),
    Labels: config.labels,
    State: record.state.status,
    Status: statusText(record),
    HostConfig: {
      NetworkMode: networkMode,
      ...(config.annotations === undefined ? {} : { Annotations: config.annotations }),
    },
    NetworkSettings: { Networks: networksJson(record) },
    Mounts: record.mounts.map(mountPointJson),
  };
}

/** The program, then its arguments; those with a blank in quotes. */
function commandText([program = '', ...args]: string[]): string {
  return [program, ...args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg))].join(' ');
}
