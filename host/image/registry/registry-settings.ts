// How registries are reached: which may be spoken to without TLS, and which others stand in for them.
import { GantryError } from '../../errors.ts';
import { hasCertificates } from './certificates.ts';

export interface RegistrySettings {
  /** "HOST[:PORT]", or a subnet "10.0.0.0/8". */
  insecure: string[];
  /** Asked before docker.io: "https://HOST". */
  mirrors: string[];
}

export interface Endpoint {
  host: string;
  /** http is spoken where https is not there. */
  mayBePlain: boolean;
  plainFirst: boolean;
}

const LOOPBACK = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/;
const settings: RegistrySettings = { insecure: [], mirrors: [] };

/** For this process's pulls and pushes. @throws {GantryError} INVALID_ARGUMENT. */
export function configureRegistries({ insecure, mirrors }: RegistrySettings): void {
  for (const name of insecure)
    if (/:\/\//.test(name) || !/^(\[[0-9a-f:]+\]|[\w.-]+)(:\d+)?(\/\d+)?$/i.test(name))
      throw new GantryError('INVALID_ARGUMENT', `Cannot use the insecure registry "${name}"`, {
        hint: 'HOST, HOST:PORT or a subnet such as 10.0.0.0/8, without http://',
      });
  for (const mirror of mirrors)
    if (!/^https?:\/\/(\[[0-9a-f:]+\]|[\w.-]+)(:\d+)?\/?$/i.test(mirror))
      throw new GantryError('INVALID_ARGUMENT', `Cannot use the registry mirror "${mirror}"`, {
        hint: 'Such as https://mirror.example.com',
      });
  settings.insecure = insecure;
  settings.mirrors = mirrors.map((mirror) => mirror.replace(/\/$/, ''));
}

export function registrySettings(): Readonly<RegistrySettings> {
  return settings;
}

/** Those that are asked before the registry itself. */
export function mirrorsOf(registry: string): string[] {
  return registry === 'docker.io' ? settings.mirrors : [];
}

function inSubnet(host: string, subnet: string): boolean {
  const [base = '', bits = '32'] = subnet.split('/');
  const number = (address: string): number | undefined =>
    /^\d+(\.\d+){3}$/.test(address) ? address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) : undefined;
  const [a, b] = [number(host.replace(/:\d+$/, '')), number(base)];
  const size = 2 ** (32 - Number(bits));
  return subnet.includes('/') && a !== undefined && b !== undefined && Math.floor(a / size) === Math.floor(b / size);
}

function isInsecure(host: string): boolean {
  return settings.insecure.some((one) => one === host || one === host.replace(/:\d+$/, '') || inSubnet(host, one));
}

/** @param registry a registry's name, or a mirror's address. */
export function endpointOf(registry: string): Endpoint {
  const [, scheme, rest = registry] = /^(https?):\/\/(.*)$/.exec(registry) ?? [];
  const host = rest === 'docker.io' ? 'registry-1.docker.io' : rest;
  if (scheme !== undefined) return { host, mayBePlain: false, plainFirst: scheme === 'http' };
  // Plain http is spoken with loopback registries, and there only until TLS is met; with those that are named so, after TLS.
  const loopback = LOOPBACK.test(host) && !hasCertificates(host);
  return { host, mayBePlain: loopback || isInsecure(host), plainFirst: loopback };
}

/** Whether certificates of it are not to be checked, as docker's insecure registries. */
export function trustsAnyCertificate(host: string): boolean {
  return isInsecure(host);
}
