#!/usr/bin/env node
// argv → command → exit status; the only place with process.exit and with the printing of errors.
import { GantryError } from '../errors.ts';

async function main(argv: string[]): Promise<number> {
  if (argv[0] === 'version' || argv[0] === '--version') {
    const { coreVersion } = await import('../index.ts');
    console.log(`gantry 0.1.0, plan format ${coreVersion()}`);
    return 0;
  }
  throw new GantryError('INVALID_ARGUMENT', `Unknown command "${argv[0] ?? ''}"`, { hint: 'Run "gantry version"' });
}

main(process.argv.slice(2)).then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    const failure = error instanceof GantryError ? error : undefined;
    console.error(`gantry: ${error instanceof Error ? error.message : String(error)}`);
    if (failure?.hint) console.error(`Hint: ${failure.hint}`);
    process.exitCode = failure?.exitStatus ?? 125;
  },
);
