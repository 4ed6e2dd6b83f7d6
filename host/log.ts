// The engine's own log: one line an event on stderr, as logfmt or as JSON.

const levels = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof levels)[number];
export type LogFields = Readonly<Record<string, string | number | undefined>>;

export type Log = Record<LogLevel, (message: string, fields?: LogFields) => void>;

export interface LogOptions {
  /** The least level that is written. */
  level: LogLevel;
  format: 'text' | 'json';
  write(line: string): void;
}

export function isLogLevel(text: string): text is LogLevel {
  return (levels as readonly string[]).includes(text);
}

export function createLog({ level, format, write }: LogOptions): Log {
  const at =
    (own: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (levels.indexOf(own) < levels.indexOf(level)) return;
      const line = { time: new Date().toISOString(), level: own, msg: message, ...fields };
      write(`${format === 'json' ? JSON.stringify(line) : logfmt(line)}\n`);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function logfmt(line: LogFields): string {
  return Object.entries(line)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${/^[\w.:/+-]+$/.test(String(value)) ? value : JSON.stringify(String(value))}`)
    .join(' ');
}
