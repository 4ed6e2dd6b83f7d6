// How wide text is on a terminal: a row that wraps would be two, and the picture above it would stay.

const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const NONE = /\p{Mn}|\p{Me}|\p{Cf}/u;

function columns(char: string): number {
  if (char >= ' ' && char <= '~') return 1;
  return NONE.test(char) ? 0 : WIDE.test(char) || char.codePointAt(0)! >= 0x20000 ? 2 : 1;
}

export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) width += columns(char);
  return width;
}

/** As much of it as fits. */
export function cut(text: string, width: number): string {
  let left = width;
  let end = 0;
  for (const char of text) {
    left -= columns(char);
    if (left < 0) return text.slice(0, end);
    end += char.length;
  }
  return text;
}
