// What the core carries out otherwise than asked, as sentences.
const sentences: Record<string, (field: string, value: string, became: string) => string> = {
  ULIMIT_CLAMPED: (name, value, most) =>
    `The ulimit ${name} of ${value === '-1' ? 'unlimited' : value} is set to ${most}: raising it further needs CAP_SYS_RESOURCE, which gantry does not have here`,
  OOM_SCORE_CLAMPED: (_field, value, floor) =>
    `The OOM score adjustment of ${value} is set to ${floor}: lowering it further needs CAP_SYS_RESOURCE, which gantry does not have here`,
  CAPABILITY_LEFT_OUT: (_field, value) =>
    `The capability "${value}" is left out: gantry does not have it here, or the kernel does not know it`,
  BUNDLE_UNKNOWN_FIELD: (field) => `The field "${field}" of config.json is not known, and does nothing`,
  // Docker's words: its clients' users know them.
  NO_WEIGHT: () => 'Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.',
  NO_WEIGHT_DEVICE: () =>
    'Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.',
};

/** @param text four NUL-terminated strings a warning: code, field, value, what it became. */
export function warningSentences(text: string): string[] {
  const flat = text.split('\0').slice(0, -1);
  const found: string[] = [];
  for (let at = 0; at < flat.length; at += 4) {
    const [code = '', field = '', value = '', became = ''] = flat.slice(at, at + 4);
    found.push(sentences[code]?.(field, value, became) ?? `${field} "${value}" became "${became}" (${code})`);
  }
  return found;
}
