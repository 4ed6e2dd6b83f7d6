// Which certificates count for a registry: Node's, the system's, and those of docker's and podman's certs.d.
import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';

/** Where docker and podman look, for "HOST" or "HOST:PORT": *.crt are authorities, NAME.cert and NAME.key log the client in. */
function certificateDirectories(host: string): string[] {
  const own = process.env.XDG_CONFIG_HOME ?? join(homedir(), '.config');
  return ['/etc/docker', '/etc/containers', join(own, 'containers')].map((place) => join(place, 'certs.d', host));
}

export function hasCertificates(host: string): boolean {
  return certificateDirectories(host).some((directory) => filesOf(directory).length > 0);
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory).map((name) => join(directory, name));
  } catch {
    return [];
  }
}

const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
];

/** Node's own authorities, the system's and those of certs.d: what an administrator added to any of them counts. */
export function trust(host: string): { ca: string[]; cert?: string; key?: string } {
  const files = certificateDirectories(host).flatMap(filesOf);
  const { SSL_CERT_FILE, NODE_EXTRA_CA_CERTS } = process.env;
  const bundles = SSL_CERT_FILE ? [SSL_CERT_FILE] : SYSTEM_BUNDLES;
  const read = (path: string): string[] => {
    try {
      return [readFileSync(path, 'utf8')];
    } catch {
      return [];
    }
  };
  const ca = [
    ...files.filter((path) => path.endsWith('.crt')),
    ...bundles,
    ...(NODE_EXTRA_CA_CERTS ? [NODE_EXTRA_CA_CERTS] : []),
  ];
  const certificate = files.find((path) => path.endsWith('.cert'));
  const key = certificate?.replace(/\.cert$/, '.key');
  return {
    ca: [...rootCertificates, ...ca.flatMap(read)],
    ...(certificate && key && files.includes(key)
      ? { cert: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') }
      : {}),
  };
}
