// YAML text → documents, by YAML 1.1's rules as Kubernetes reads it (0644 is octal), with bounds on what aliases may grow to.
import { parseAllDocuments } from 'yaml';
import { GantryError } from '../errors.ts';

/** Kubernetes itself takes no more for one object. */
const LARGEST = 3 << 20;

const known = ['null', 'bool', 'int', 'float', 'str', 'map', 'seq', 'merge'];

/** @param name of the file, for errors. @throws {GantryError} INVALID_ARGUMENT with line and column. */
export function parseDocuments(text: string, name: string): unknown[] {
  if (text.length > LARGEST)
    throw new GantryError('TOO_LARGE', `Cannot read "${name}": it has more than ${LARGEST} bytes`);
  const failed = (reason: string, cause?: unknown): GantryError =>
    new GantryError('INVALID_ARGUMENT', `Cannot read "${name}": ${reason}`, { cause });
  try {
    const documents = parseAllDocuments(text, {
      version: '1.1',
      merge: true,
      uniqueKeys: true,
      // No times ("1:30" is text to Kubernetes), and no tags that make anything but plain values.
      customTags: (tags) =>
        tags.filter((tag) =>
          typeof tag === 'string'
            ? known.includes(tag)
            : known.some((word) => tag.tag === `tag:yaml.org,2002:${word}` || tag.tag === '<<') &&
              tag.format !== 'TIME',
        ),
    });
    return (Array.isArray(documents) ? documents : [])
      .map((document) => {
        const [problem] = [...document.errors, ...document.warnings];
        if (problem !== undefined) throw failed(problem.message.trim().split('\n')[0]!, problem);
        return document.toJS({ maxAliasCount: 100 }) as unknown;
      })
      .filter((document) => document !== null && document !== undefined);
  } catch (cause) {
    if (cause instanceof GantryError) throw cause;
    throw failed((cause as Error).message, cause);
  }
}
