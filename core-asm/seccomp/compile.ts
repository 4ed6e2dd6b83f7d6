// The seccomp call of the core: profile text and target in, instructions out.
import { ByteWriter } from '../bytes';
import { Json, parseJson } from '../json';
import { refuse } from '../status';
import { defaultProfile } from './default-profile';
import { compileFilter } from './filter';
import { ProfileTarget, resolveProfile } from './profile';

/** Resolves a profile ("" is the default one) for a target {architecture, capabilities, kernel}. */
export function resolveFor(pointer: usize, length: i32, target: Json): Json {
  let profile: Json | null = null;
  if (length > 0) profile = parseJson(pointer, length);
  else {
    const text = new ByteWriter(16384);
    text.text(defaultProfile());
    profile = parseJson(text.pointer, text.length);
  }
  if (!profile) {
    refuse('SECCOMP_PROFILE', 'seccomp');
    return Json.object();
  }
  const kernel = target.list('kernel');
  return resolveProfile(
    profile,
    new ProfileTarget(
      target.str('architecture'),
      target.strings('capabilities'),
      kernel.length > 0 ? kernel[0].integer : 0,
      kernel.length > 1 ? kernel[1].integer : 0,
    ),
  );
}

/** Instructions of struct sock_filter, 8 bytes each. */
export function compileSeccompFilter(resolved: Json, out: ByteWriter): void {
  compileFilter(resolved, out);
}
