// Kernel modules and what they depend on, from the modules' own .modinfo: Debian's packages bring no modules.dep.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface KernelModule {
  /** "virtio_pci.ko". */
  file: string;
  path: string;
}

/** Every named module that is not built in, each behind those that it depends on. */
export function findModules(directory: string, names: string[]): KernelModule[] {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  const builtIn = files.filter((file) => file.endsWith('modules.builtin'));
  const isBuiltIn = new Set(
    builtIn.flatMap((file) => readFileSync(join(directory, file), 'utf8').split('\n').map(moduleName)),
  );
  const paths = new Map(
    files.filter((file) => file.endsWith('.ko')).map((file) => [moduleName(file), join(directory, file)]),
  );
  const found = new Map<string, KernelModule>();
  const add = (name: string): void => {
    if (found.has(name) || isBuiltIn.has(name)) return;
    const path = paths.get(name);
    if (path === undefined) throw new Error(`the kernel has no module "${name}"`);
    for (const dependency of dependencies(readFileSync(path, 'latin1'))) add(dependency);
    found.set(name, { file: `${name}.ko`, path });
  };
  names.forEach(add);
  return [...found.values()];
}

/** "kernel/drivers/virtio/virtio-pci.ko" → "virtio_pci", as modprobe(8) reads names. */
function moduleName(file: string): string {
  return file.replace(/^.*\//, '').replace(/\.ko$/, '').replaceAll('-', '_');
}

function dependencies(module: string): string[] {
  const [, list = ''] = /\0depends=([^\0]*)\0/.exec(module) ?? [];
  return list.split(',').filter(Boolean).map(moduleName);
}
