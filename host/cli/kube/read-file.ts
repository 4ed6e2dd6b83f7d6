// The documents of a file, or of standard input.
import { readFileSync } from 'node:fs';
import { GantryError } from '../../errors.ts';

export async function readDocuments(path: string): Promise<unknown[]> {
  let text: string;
  try {
    text = readFileSync(path === '-' ? 0 : path, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new GantryError('PATH_NOT_FOUND', `Cannot read "${path}": ${code === 'ENOENT' ? 'no such file' : code}`, {
      cause,
    });
  }
  const { parseDocuments } = await import('../../kube/documents.ts');
  return parseDocuments(text, path === '-' ? 'standard input' : path);
}
