// --secret id=NAME[,src=FILE|,env=VARIABLE]: read here, sent in the first line of the body, kept nowhere.
import { MAX_SECRET } from '../../build/request.ts';
import { GantryError } from '../../errors.ts';
import { readBounded } from './context.ts';

function invalid(text: string, reason: string): GantryError {
  return new GantryError('INVALID_ARGUMENT', `Invalid argument "${text}" for "--secret": ${reason}`, {
    hint: 'Such as id=token,src=FILE or id=token,env=TOKEN',
    details: { flag: 'secret' },
  });
}

/** id → base64. @throws {GantryError} INVALID_ARGUMENT, PATH_NOT_FOUND; never with a part of a secret. */
export function readSecrets(given: string[], env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return Object.fromEntries(given.map((text) => readSecret(text, env)));
}

function readSecret(text: string, env: NodeJS.ProcessEnv): [string, string] {
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const key = at < 0 ? part : part.slice(0, at);
    if (at < 0) throw invalid(text, `invalid field '${part}' must be a key=value pair`);
    const name = { source: 'src' }[key.toLowerCase()] ?? key.toLowerCase();
    if (!['id', 'src', 'env', 'type'].includes(name)) throw invalid(text, `unexpected key '${key}' in '${part}'`);
    fields.set(name, part.slice(at + 1));
  }
  const id = fields.get('id') ?? '';
  if (id === '') throw invalid(text, 'missing id');
  const type = fields.get('type') ?? (fields.has('env') ? 'env' : fields.has('src') ? 'file' : '');
  if (!['', 'env', 'file'].includes(type)) throw invalid(text, `unsupported secret type "${type}"`);
  const source = fields.get('env') ?? fields.get('src') ?? id;
  // Without a source the variable of this name counts, then the file.
  if (type === 'env' || (type === '' && env[source] !== undefined)) {
    const value = env[source];
    if (value === undefined) throw invalid(text, `the variable ${source} is not set`);
    return [id, bounded(id, Buffer.from(value))];
  }
  try {
    return [id, bounded(id, readBounded(source, MAX_SECRET + 1))];
  } catch (cause) {
    if (cause instanceof GantryError) throw cause;
    throw new GantryError(
      'PATH_NOT_FOUND',
      `Cannot read the secret "${id}": ${(cause as NodeJS.ErrnoException).code}`,
      {
        hint: `Give its file: --secret id=${id},src=FILE`,
        cause,
      },
    );
  }
}

function bounded(id: string, content: Buffer): string {
  if (content.length > MAX_SECRET)
    throw new GantryError('TOO_LARGE', `Cannot send the secret "${id}": it is larger than ${MAX_SECRET / 1024} KiB`);
  return content.toString('base64');
}
