// Docker's description of its API (swagger 2) from Debian's package, as JSON schemas: which answers keep to it, and which do not.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { load } from 'js-yaml';
import { cacheDirectory } from './cache.ts';

type Schema = Record<string, unknown>;

interface Operation {
  responses: Record<string, { schema?: Schema }>;
}

export interface ApiDescription {
  /** "GET /containers/{id}/json". */
  operations: string[];
  /** What is wrong with an answer; nothing where the description has no schema for it. */
  problems(method: string, path: string, status: number, body: unknown): string[];
}

const PACKAGE = 'golang-github-docker-docker-dev';

/** The file, brought by apt-get where it is not there yet; else why it is not. */
export function findDescription(): { file: string } | { missing: string } {
  const given = process.env.GANTRY_SWAGGER;
  if (given) return { file: given };
  const file = cacheDirectory('docker-api', 'swagger.yaml');
  if (existsSync(file)) return { file };
  const work = mkdtempSync(join(tmpdir(), 'gantry-swagger-'));
  try {
    execFileSync('apt-get', ['download', PACKAGE], { cwd: work, stdio: 'pipe' });
    const archive = readdirSync(work).find((name) => name.endsWith('.deb'))!;
    execFileSync('dpkg-deb', ['-x', archive, 'tree'], { cwd: work, stdio: 'pipe' });
    mkdirSync(cacheDirectory('docker-api'), { recursive: true });
    const found = join(work, 'tree/usr/share/gocode/src/github.com/docker/docker/api/swagger.yaml');
    const near = join(cacheDirectory('docker-api'), `.${process.pid}`);
    execFileSync('cp', [found, near]);
    renameSync(near, file);
    return { file };
  } catch (error) {
    return { missing: `apt-get cannot download ${PACKAGE}: ${(error as Error).message.split('\n')[0]}` };
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** @param own properties that gantry has and the description has not, by name. */
export function readDescription(file: string, own: string[]): ApiDescription {
  const { paths, definitions } = load(readFileSync(file, 'utf8')) as {
    paths: Record<string, Record<string, Operation>>;
    definitions: Record<string, Schema>;
  };
  const convert = converter(definitions, own);
  const ajv = new Ajv({ strict: false, allErrors: true });
  for (const name of Object.keys(definitions)) ajv.addSchema(convert(definitions[name]!), `definitions-${name}`);
  const compiled = new Map<string, ValidateFunction>();

  const find = (method: string, path: string): [string, Operation] | undefined => {
    const found = Object.entries(paths).find(([pattern, methods]) => {
      const expression = pattern.replace(/\{\w+\}/g, /^\/(images|distribution)\//.test(pattern) ? '.+' : '[^/]+');
      return methods[method.toLowerCase()] !== undefined && new RegExp(`^${expression}$`).test(path);
    });
    return found && [found[0], found[1][method.toLowerCase()]!];
  };

  return {
    operations: Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== 'parameters')
        .map((method) => `${method.toUpperCase()} ${path}`),
    ),
    problems(method, path, status, body) {
      const [pattern, operation] = find(method, path) ?? [];
      if (operation === undefined) return [`${method} ${path} is not described`];
      const response = operation.responses[String(status)] ?? operation.responses.default;
      // A failure of any status has the one form.
      const schema = response?.schema ?? (status >= 400 ? { $ref: '#/definitions/ErrorResponse' } : undefined);
      if (schema === undefined)
        return response === undefined && status < 400
          ? [`${method} ${pattern}: status ${status} is not described`]
          : [];
      const key = `${method} ${pattern} ${status}`;
      const validate = compiled.get(key) ?? ajv.compile(convert(schema));
      compiled.set(key, validate);
      if (validate(body)) return [];
      // Of an alternative the branch that fails says more than the alternative.
      return (validate.errors ?? [])
        .filter(({ keyword, schemaPath }) => keyword !== 'anyOf' && !/anyOf.1.type$/.test(schemaPath))
        .map((error) => `${key}: ${sentence(error)}`);
    },
  };
}

function sentence({ instancePath, message, params }: ErrorObject): string {
  const { additionalProperty, allowedValues } = params as { additionalProperty?: string; allowedValues?: unknown[] };
  const more = additionalProperty ?? (allowedValues === undefined ? '' : JSON.stringify(allowedValues));
  return `${instancePath || '/'} ${message} ${more}`.trimEnd();
}

/**
 * Swagger's schema in JSON Schema's words. What Go leaves nil, docker writes as null: lists, maps, and what x-nullable says.
 * Objects have no other properties than the described ones, so that a misspelt one is found.
 */
function converter(definitions: Record<string, Schema>, own: string[]): (schema: Schema) => Schema {
  const convert = (schema: Schema): Schema => {
    const { $ref, allOf, properties, items, additionalProperties, type, enum: values, required } = schema;
    if (typeof $ref === 'string') return { $ref: $ref.replace('#/definitions/', 'definitions-') };
    if (Array.isArray(allOf)) return convert(merged(allOf as Schema[], definitions));
    const nullable = schema['x-nullable'] === true;
    const inner = (value: unknown): Schema => convert(value as Schema);
    if (type === 'array') return { type: ['array', 'null'], ...(items ? { items: inner(items) } : {}) };
    if (properties !== undefined || type === 'object' || additionalProperties !== undefined) {
      const isMap = properties === undefined;
      const named = Object.entries((properties ?? {}) as Record<string, Schema>);
      const must = new Set((required ?? []) as string[]);
      return {
        type: isMap || nullable ? ['object', 'null'] : 'object',
        properties: Object.fromEntries(named.map(([name, value]) => [name, orNull(inner(value), !must.has(name))])),
        patternProperties: { [`^(${own.join('|')})$`]: true },
        ...(must.size > 0 ? { required: [...must] } : {}),
        additionalProperties: isMap
          ? typeof additionalProperties === 'object'
            ? inner(additionalProperties)
            : true
          : false,
      };
    }
    return {
      ...(type === undefined ? {} : { type: nullable ? [type, 'null'] : type }),
      // Go's zero value stands for "not set".
      ...(Array.isArray(values)
        ? { enum: [...new Set([...values, ...(type === 'string' ? [''] : []), ...(nullable ? [null] : [])])] }
        : {}),
    };
  };
  return convert;
}

/** Pointers to structs: null where there is none, if the property need not be there. */
function orNull(schema: Schema, may: boolean): Schema {
  const isReference = schema.$ref !== undefined || schema.type === 'object';
  return may && isReference ? { anyOf: [schema, { type: 'null' }] } : schema;
}

function merged(parts: Schema[], definitions: Record<string, Schema>): Schema {
  const all = parts.map((part) => {
    const name = typeof part.$ref === 'string' ? part.$ref.replace('#/definitions/', '') : undefined;
    const found = name === undefined ? part : definitions[name]!;
    return Array.isArray(found.allOf) ? merged(found.allOf as Schema[], definitions) : found;
  });
  // One that is no object (an alias with a description) stands for itself.
  if (all.length === 1 || all.every(({ properties }) => properties === undefined)) return all[0]!;
  return {
    type: 'object',
    properties: Object.assign({}, ...all.map(({ properties }) => properties ?? {})) as Schema,
    required: all.flatMap(({ required }) => (required ?? []) as string[]),
  };
}
