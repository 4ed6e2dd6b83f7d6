// What a terminal shows after what was written to it: the movements that our displays use, and no others.

/** @throws for a sequence that it does not know, and for text that is wider than the screen. */
export class Screen {
  private readonly cells: string[][] = [[]];
  private row = 0;
  private column = 0;
  private readonly columns: number;

  constructor(columns: number) {
    this.columns = columns;
  }

  write(text: string): void {
    for (const [part] of text.matchAll(/\x1b\[[\d;?]*[A-Za-z]|[\s\S]/gu)) {
      if (part === '\n') {
        this.row++;
        this.column = 0; // As a terminal's line discipline has it.
      } else if (part === '\r') this.column = 0;
      else if (part.startsWith('\x1b')) this.control(part);
      else this.put(part);
      this.cells[this.row] ??= [];
    }
  }

  private put(char: string): void {
    if (/\p{Mn}/u.test(char)) {
      const line = this.cells[this.row]!;
      line[Math.max(0, this.column - 1)] += char;
      return;
    }
    const wide = /[\u2e80-\uffef]/u.test(char) ? 2 : 1;
    if (this.column + wide > this.columns)
      throw new Error(`Row ${this.row} is wider than ${this.columns}: ${this.lines[this.row]}`);
    const line = this.cells[this.row]!;
    while (line.length < this.column) line.push(' ');
    line[this.column] = char;
    if (wide === 2) line[this.column + 1] = '';
    this.column += wide;
  }

  private control(sequence: string): void {
    const [, number = '', name = ''] = /^\x1b\[([\d;?]*)([A-Za-z])$/.exec(sequence) ?? [];
    if (name === 'A') {
      this.row -= Number(number);
      if (this.row < 0) throw new Error('The cursor has left the screen at its top');
    } else if (name === 'K') this.cells[this.row]!.length = this.column;
    else if (name === 'J') {
      this.cells[this.row]!.length = Math.min(this.column, this.cells[this.row]!.length);
      this.cells.length = this.row + 1;
    } else if (name !== 'm' && name !== 'h' && name !== 'l') throw new Error(`Unknown: ${JSON.stringify(sequence)}`);
  }

  get lines(): string[] {
    return this.cells.map((line) => line.join('').trimEnd());
  }
}
