// Docker's TypeScript models of its newest API, and the compiler that says which answers are not of their types.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';

/** What is answered to an operation that succeeds; a failure of any is an ErrorResponse. */
const types: Record<string, string> = {
  'GET /containers/json': 'ContainerSummary[]',
  'POST /containers/create': 'ContainerCreateResponse',
  'GET /containers/{id}/json': 'ContainerInspectResponse',
  'GET /containers/{id}/top': 'ContainerTopResponse',
  'GET /containers/{id}/stats': 'ContainerStatsResponse',
  'GET /containers/{id}/changes': 'FilesystemChange[]',
  'POST /containers/{id}/update': 'ContainerUpdateResponse',
  'POST /containers/{id}/wait': 'ContainerWaitResponse',
  'POST /containers/prune': 'ContainerPruneResponse',
  'POST /containers/{id}/exec': 'IDResponse',
  'GET /exec/{id}/json': 'ExecInspectResponse',
  'POST /commit': 'IDResponse',
  'GET /images/json': 'ImageSummary[]',
  'GET /images/{name}/json': 'ImageInspect',
  'GET /images/{name}/history': 'HistoryResponseItem[]',
  'DELETE /images/{name}': 'ImageDeleteResponseItem[]',
  'POST /images/load': 'JSONMessage',
  'POST /images/create': 'CreateImageInfo',
  'POST /images/{name}/push': 'PushImageInfo',
  'POST /images/prune': 'ImagePruneResponse',
  'GET /images/search': 'ImageSearchResponseItem[]',
  'GET /distribution/{name}/json': 'DistributionInspect',
  'POST /build': 'JSONMessage',
  'POST /build/prune': 'BuildPruneResponse',
  'GET /networks': 'NetworkSummary[]',
  'GET /networks/{id}': 'NetworkInspect',
  'POST /networks/create': 'NetworkCreateResponse',
  'POST /networks/prune': 'NetworkPruneResponse',
  'GET /volumes': 'VolumeListResponse',
  'GET /volumes/{name}': 'Volume',
  'POST /volumes/create': 'Volume',
  'POST /volumes/prune': 'VolumePruneResponse',
  'GET /version': 'SystemVersion',
  'GET /info': 'SystemInfo',
  'GET /plugins': 'Plugin[]',
  'GET /events': 'EventMessage',
  'GET /system/df': 'SystemDataUsageResponse',
  'POST /auth': 'SystemAuthResponse',
};

interface Correction {
  model: string;
  written: string;
  meant: string;
  why: string;
}

/** Where docker itself does not keep to its models at the newest version that is served, and what is gantry's own. */
const corrections: Correction[] = [
  property('ContainerStatsResponse', 'read?: Date;', 'read?: string;', 'JSON has no dates'),
  property('ContainerStatsResponse', 'preread?: Date;', 'preread?: string;', 'JSON has no dates'),
  property('HealthcheckResult', 'Start?: Date;', 'Start?: string;', 'JSON has no dates'),
  property(
    'HostConfig',
    'MemorySwappiness?: number;',
    'MemorySwappiness?: number | null;',
    'written where it is not set',
  ),
  property('ExecInspectResponse', 'ExitCode?: number;', 'ExitCode?: number | null;', 'null as long as it runs'),
  more('EventMessage', 'status?: string; id?: string; from?: string;', 'written up to 1.51'),
  more('NetworkSummary', 'Containers?: Record<string, never>;', 'written, and empty, up to 1.51'),
  more('PushImageInfo', 'id?: string; error?: string;', 'progress has the layer; error is written up to 1.51'),
  more('PushImageInfo', 'code?: string; hint?: string;', "gantry's own"),
  more('ErrorResponse', 'code?: string; hint?: string;', "gantry's own"),
  more(
    'ImageInspect',
    "ContainerConfig?: import('./ContainerConfig.js').ContainerConfig;",
    'Compose 1 reads it whatever the version',
  ),
];

function property(model: string, written: string, meant: string, why: string): Correction {
  return { model, written: ` ${written}`, meant: ` ${meant}`, why };
}

function more(model: string, properties: string, why: string): Correction {
  const written = `export interface ${model} {`;
  return { model, written, meant: `${written} ${properties}`, why };
}

export interface Answer {
  /** "GET /containers/{id}/json". */
  operation: string;
  status: number;
  value: unknown;
}

const models = join(createRequire(import.meta.url).resolve('@docker/node-sdk'), '../../lib/types');

/** @returns "GET /version 200: .Os: Type 'number' is not assignable to type 'string'", each once. */
export function typeProblems(answers: Answer[]): string[] {
  const problems: string[] = [];
  const lines: string[] = [];
  const names = new Map<string, string>();
  for (const { operation, status, value } of answers) {
    const type = status >= 400 ? 'ErrorResponse' : types[operation];
    const line = `: ${type} = ${JSON.stringify(value)};`;
    if (type === undefined) problems.push(`${operation} ${status}: has no type`);
    else if (!lines.some((known) => known.endsWith(line))) {
      names.set(`answer${lines.length}`, `${operation} ${status}`);
      lines.push(`export const answer${lines.length}${line}`);
    }
  }
  const used = new Set([...Object.values(types), 'ErrorResponse'].map((type) => type.replace('[]', '')));
  const imports = [...used].map((type) => `import type { ${type} } from './${type}.js';`);
  const main = join(models, 'answers.ts');
  const program = compile(main, [...imports, ...lines].join('\n'));
  const source = program.getSourceFile(main)!;
  const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)];
  for (const { start, messageText } of found) {
    const { name, path } = place(source, start ?? 0);
    problems.push(`${names.get(name) ?? name}: ${path}: ${ts.flattenDiagnosticMessageText(messageText, '')}`);
  }
  return [...new Set(problems)];
}

function compile(main: string, text: string): ts.Program {
  const options: ts.CompilerOptions = {
    strict: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    lib: ['lib.es2022.d.ts'],
    types: [],
    noEmit: true,
    skipLibCheck: true,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => file === main || fileExists(file);
  host.readFile = (file) => (file === main ? text : readFile(file));
  host.getSourceFile = (file, ...rest) => {
    if (file === main) return ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true);
    if (!file.startsWith(models)) return getSourceFile(file, ...rest);
    return ts.createSourceFile(file, corrected(file), ts.ScriptTarget.ES2022, true);
  };
  return ts.createProgram([main], options, host);
}

/** A model as docker means it: what Go leaves nil, a list or a map, is written as null. */
function corrected(file: string): string {
  let text = readFileSync(file, 'utf8');
  for (const { model, written, meant, why } of corrections) {
    if (file !== join(models, `${model}.ts`)) continue;
    if (!text.includes(written)) throw new Error(`${model} has no "${written}" to correct (${why})`);
    text = text.replace(written, meant);
  }
  return text.replace(/^( +\w+\??: (?:Array<[^;]+>|\{ \[key: string\]: [^;]+ \}));/gm, '$1 | null;');
}

/** The constant that a position is in, and the properties that lead to it. */
function place(source: ts.SourceFile, position: number): { name: string; path: string } {
  let [name, path] = ['', ''];
  const visit = (node: ts.Node): void => {
    if (position < node.getStart(source) || position >= node.getEnd()) return;
    if (ts.isVariableDeclaration(node)) name = node.name.getText(source);
    if (ts.isPropertyAssignment(node)) path += `.${(node.name as ts.StringLiteral).text}`;
    ts.forEachChild(node, visit);
  };
  visit(source);
  return { name, path };
}
