// EXPOSE: "80", "53/udp", "8000-8010/tcp", and the older "[IP:]PUBLIC:80" of which only the last part counts.
import { Refusal } from './failure.ts';

/** "80/tcp" and so on, ranges opened. @throws {Refusal} */
export function parsePort(text: string): string[] {
  const [range = '', protocol = 'tcp', ...more] = text.slice(text.lastIndexOf(':') + 1).split('/');
  const name = (protocol || 'tcp').toLowerCase();
  if (range === '') throw new Refusal(`invalid port: ${JSON.stringify(text)}: no port specified`);
  if (more.length > 0 || !['tcp', 'udp', 'sctp'].includes(name))
    throw new Refusal(`invalid port: ${JSON.stringify(text)}: invalid proto: ${[protocol, ...more].join('/')}`);
  const [start = '', end = start, ...others] = range.split('-');
  const [first, last] = [Number(start), Number(end)];
  if (!/^\d+$/.test(start) || !/^\d+$/.test(end) || others.length > 0 || last < first || last > 65535)
    throw new Refusal(`invalid containerPort: ${range}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${name}`);
}
