// The local time in Go's words.
interface LocalTime {
  /** "2026-01-31". */
  date: string;
  /** "10:00:00". */
  time: string;
  /** "+01" and "00". */
  zone: [string, string];
}

function localTime(seconds: number): LocalTime {
  const moment = new Date(seconds * 1000);
  const offset = -moment.getTimezoneOffset();
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const local = new Date(moment.getTime() + offset * 60_000).toISOString();
  const hours = `${offset < 0 ? '-' : '+'}${two(Math.abs(offset) / 60)}`;
  return { date: local.slice(0, 10), time: local.slice(11, 19), zone: [hours, two(Math.abs(offset) % 60)] };
}

/** time.String(): "2026-01-31 10:00:00 +0100 CET". @param seconds since 1970. */
export function goTime(seconds: number): string {
  const { date, time, zone } = localTime(seconds);
  const name = new Date(seconds * 1000).toLocaleTimeString('en-US', { timeZoneName: 'short' }).split(' ').at(-1);
  return `${date} ${time} ${zone.join('')} ${name}`;
}

/** RFC 3339 with nine digits: "2026-01-31T10:00:00.000000000+01:00", "Z" for UTC. @param nanoseconds since 1970. */
export function nanoTime(seconds: number, nanoseconds: number): string {
  const { date, time, zone } = localTime(seconds);
  // A number holds microseconds; the last digits are not to be had from it.
  const fraction = String(Math.floor((nanoseconds - seconds * 1e9) / 1000)).padStart(6, '0');
  const offset = zone.join(':');
  return `${date}T${time}.${fraction}000${offset === '+00:00' ? 'Z' : offset}`;
}
