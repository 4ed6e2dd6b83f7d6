// What layers need of the machine that shows them. Types only.

/** Failures carry the kernel's word for it in `details.errno`. */
export interface Mounter {
  /** Mounts the EROFS file on a directory, read-only; through a loop device where asked. */
  mount(file: string, directory: string, loop: boolean): Promise<void>;
  /** Mounts an overlay of these directories, which nothing can be written to. */
  overlay(lower: string[], directory: string): Promise<void>;
  /** What uses it by another mount goes on using it. */
  unmount(directory: string): Promise<void>;
  /** Places at or below a directory that an EROFS is mounted on. */
  mounted(directory: string): string[];
  /** `changed` is called soon after anybody has mounted or unmounted something. */
  watch(changed: () => void): void;
  /** Nothing is asked of it any more. */
  close(): Promise<void>;
}
