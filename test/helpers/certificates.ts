// Certificate authorities and certificates for 127.0.0.1 and names, made by openssl.
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificate {
  certificate: string;
  key: string;
}

const openssl = (...args: string[]): void =>
  void execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });

export function makeAuthority(directory: string, name: string): Certificate {
  const [certificate, key] = [join(directory, `${name}.crt`), join(directory, `${name}.key`)];
  openssl(
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', `/CN=${name}`],
    ...['-addext', 'keyUsage=critical,keyCertSign', '-keyout', key, '-out', certificate],
  );
  return { certificate, key };
}

/** @param dns a name that it is good for, too. */
export function makeCertificate(directory: string, name: string, authority: Certificate, dns?: string): Certificate {
  const path = (suffix: string): string => join(directory, `${name}.${suffix}`);
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${name}`, '-keyout', path('key'), '-out', path('csr'));
  writeFileSync(
    path('ext'),
    `subjectAltName=IP:127.0.0.1${dns === undefined ? '' : `,DNS:${dns}`}\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\n`,
  );
  openssl(
    ...['x509', '-req', '-days', '2', '-in', path('csr'), '-extfile', path('ext'), '-out', path('crt')],
    ...['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial'],
  );
  return { certificate: path('crt'), key: path('key') };
}
