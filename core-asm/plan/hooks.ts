// Hooks of a bundle as ops (runtime-spec config.md, "POSIX-platform Hooks").
import { OP_HOOK, OP_HOOK_STATE, POLICY_FAIL } from '../abi';
import { ByteWriter } from '../bytes';
import { Json, writeJson } from '../json';
import { refuse } from '../status';
import { listOf } from './process';
import { ProgramWriter } from './program';

export function hasHooks(spec: Json, kind: string): bool {
  return spec.child('hooks').list(kind).length > 0;
}

/** What state tells of a container, all but its status and pid: a JSON object without its end. */
export function stateHead(request: Json): string {
  const bundle = request.child('bundle');
  const spec = request.child('spec');
  const head = Json.object()
    .set('ociVersion', Json.of('1.2.1'))
    .set('id', Json.of(bundle.str('id')))
    .set('bundle', Json.of(bundle.str('directory')));
  if (spec.child('annotations').keys.length > 0) head.set('annotations', spec.child('annotations'));
  const out = new ByteWriter(1024);
  writeJson(out, head);
  return String.UTF8.decodeUnsafe(out.pointer, out.length - 1);
}

/** From here on hooks are told this status. */
export function hookState(program: ProgramWriter, request: Json, status: string): void {
  program.op(OP_HOOK_STATE).content(stateHead(request)).str(status);
}

export function runHooks(program: ProgramWriter, spec: Json, kind: string, policy: i32 = POLICY_FAIL): void {
  const hooks = spec.child('hooks').list(kind);
  for (let i = 0; i < hooks.length; i++) {
    const hook = hooks[i];
    const field = 'hooks.' + kind + '[' + i.toString() + ']';
    const path = hook.str('path');
    if (!path.startsWith('/')) refuse('HOOK_PATH', field, path);
    if (hook.has('timeout') && hook.int('timeout') <= 0) refuse('HOOK_TIMEOUT', field, hook.int('timeout').toString());
    const args = hook.strings('args');
    program
      .op(OP_HOOK)
      .str(path)
      .buffer(listOf(args.length > 0 ? args : [path]))
      .buffer(listOf(hook.strings('env')))
      .imm(hook.int('timeout') * 1000)
      .policy(policy)
      .because(kind);
  }
}
