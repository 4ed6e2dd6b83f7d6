// Config of a container in docker's spelling: what it runs.
import type { ContainerConfig, Healthcheck } from '../../types.ts';

export function orNull<T>(list: T[]): T[] | null {
  return list.length > 0 ? list : null;
}

function keySet(names: string[]): Record<string, object> | null {
  return names.length > 0 ? Object.fromEntries(names.map((name) => [name, {}])) : null;
}

export function healthcheckJson(healthcheck: Healthcheck | undefined): object {
  if (healthcheck === undefined) return {};
  const { test, interval, timeout, startPeriod, startInterval, retries } = healthcheck;
  return {
    Healthcheck: {
      Test: test,
      Interval: interval,
      Timeout: timeout,
      StartPeriod: startPeriod,
      StartInterval: startInterval,
      Retries: retries,
    },
  };
}

export function configJson(config: ContainerConfig): object {
  return {
    Hostname: config.hostname,
    Domainname: config.domainname,
    User: config.user,
    AttachStdin: config.attachStdin,
    AttachStdout: config.attachStdout,
    AttachStderr: config.attachStderr,
    ...(config.exposedPorts.length > 0 ? { ExposedPorts: keySet(config.exposedPorts) } : {}),
    Tty: config.tty,
    OpenStdin: config.openStdin,
    StdinOnce: config.stdinOnce,
    Env: config.env,
    Cmd: orNull(config.command),
    Image: config.image,
    Volumes: keySet(config.volumes),
    WorkingDir: config.workingDir,
    Entrypoint: orNull(config.entrypoint),
    OnBuild: null,
    Labels: config.labels,
    StopSignal: config.stopSignal,
    ...(config.stopTimeout === undefined ? {} : { StopTimeout: config.stopTimeout }),
    ...healthcheckJson(config.healthcheck),
    ...(config.shell === undefined ? {} : { Shell: config.shell }),
  };
}
