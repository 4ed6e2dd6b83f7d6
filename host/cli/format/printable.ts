// What comes from registries, archives and engines, as it may be shown at a terminal.

/** Control characters but for ends of lines and tabs become what caret notation calls them: nothing moves the cursor or asks the terminal. */
export function printable(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, (letter) => {
    const code = letter.codePointAt(0)!;
    return code < 32 ? `^${String.fromCharCode(code + 64)}` : code === 127 ? '^?' : '';
  });
}
