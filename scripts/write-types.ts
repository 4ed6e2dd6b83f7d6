// Declarations of what programs import, file by file, without a type check (`npm run check` has that).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';

/** Methods named by a symbol are declared once more as properties: the compiler sees no library that would know the symbol. */
const twice = /^ +\[Symbol\.\w+\]: .*;\n/gm;

/** Writes the declarations of an entry and of what they name. @throws where an export has no type of its own. */
export function writeTypes(source: string, entry: string, output: string): void {
  const seen = new Set<string>();
  const write = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    const { outputText, diagnostics = [] } = ts.transpileDeclaration(readFileSync(join(source, file), 'utf8'), {
      fileName: file,
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        isolatedDeclarations: true,
        declaration: true,
        stripInternal: true,
        strict: true,
      },
      reportDiagnostics: true,
    });
    const flaw = diagnostics[0];
    if (flaw !== undefined)
      throw new Error(`Cannot write the types of ${file}: ${ts.flattenDiagnosticMessageText(flaw.messageText, '\n')}`);
    const target = join(output, file.replace(/\.ts$/, '.d.ts'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(
      target,
      outputText
        .replace(twice, '')
        .replace(/(from\s+|import\()(['"])(\.[^'"]+)\.ts\2/g, (_all, before, quote, path) => {
          write(normalize(join(dirname(file), `${path}.ts`)));
          return `${before}${quote}${path}.js${quote}`;
        }),
    );
  };
  write(entry);
}
