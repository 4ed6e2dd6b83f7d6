// A readinessProbe that runs a command → docker's health check: ready is "healthy".
import { type Fields, invalidField } from './fields.ts';

const SECOND = 1e9;

/** Liveness and startup restart a container, which no health check does: they are refused by whoever reads on. */
export function readReadiness(container: Fields): object {
  const fields = container.child('readinessProbe');
  if (fields === undefined) return {};
  const exec = fields.child('exec');
  const command = exec?.texts('command') ?? [];
  exec?.end();
  const period = (fields.whole('periodSeconds', 1) ?? 10) * SECOND;
  const check = {
    Test: ['CMD', ...command],
    Interval: period,
    StartInterval: period,
    StartPeriod: (fields.whole('initialDelaySeconds') ?? 0) * SECOND,
    Timeout: (fields.whole('timeoutSeconds', 1) ?? 1) * SECOND,
    Retries: fields.whole('failureThreshold', 1) ?? 3,
  };
  fields.only('successThreshold', 1);
  const others = ['httpGet', 'tcpSocket', 'grpc'].filter((name) => fields.has(name));
  if (command.length === 0 && others.length === 0) throw invalidField(fields.at('exec.command'), 'it is missing');
  fields.end();
  return { Healthcheck: check };
}
