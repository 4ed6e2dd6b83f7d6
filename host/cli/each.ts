// The same for several names: what works is done, what fails is told, and the status says so.
import { GantryError } from '../errors.ts';
import { printable } from './format/printable.ts';

/** Prints what `work` returns, a line each. A failure does not keep the others from being done. */
export async function forEachName(
  names: string[],
  work: (name: string) => Promise<string | undefined>,
): Promise<number> {
  let status = 0;
  for (const name of names) {
    try {
      const line = await work(name);
      if (line !== undefined) process.stdout.write(`${line}\n`);
    } catch (error) {
      if (!(error instanceof GantryError) || error.code === 'ENGINE_UNREACHABLE') throw error;
      process.stderr.write(printable(`gantry: ${error.message}\n${error.hint ? `Hint: ${error.hint}\n` : ''}`));
      status = 1;
    }
  }
  return status;
}
