// Strings and a number for each: a program looks each of its hundreds of strings up, most of them long paths, so one look must do.
import { hashText } from '../bytes';

export class StringTable {
  /** Open addressing; a power of two of places, half of them free. */
  private texts: StaticArray<string | null> = new StaticArray<string | null>(512);
  private numbers: StaticArray<i32> = new StaticArray<i32>(512);
  private count: i32 = 0;

  /** The number that a text was put with first. */
  put(text: string, number: i32): i32 {
    const mask = this.texts.length - 1;
    let at = hashText(text) & mask;
    for (let known = unchecked(this.texts[at]); known; known = unchecked(this.texts[at])) {
      if (known.length == text.length && known == text) return unchecked(this.numbers[at]);
      at = (at + 1) & mask;
    }
    unchecked((this.texts[at] = text));
    unchecked((this.numbers[at] = number));
    if (++this.count * 2 > mask) this.grow();
    return number;
  }

  private grow(): void {
    const texts = this.texts;
    const numbers = this.numbers;
    this.texts = new StaticArray<string | null>(texts.length * 2);
    this.numbers = new StaticArray<i32>(texts.length * 2);
    this.count = 0;
    for (let i = 0; i < texts.length; i++) {
      const text = texts[i];
      if (text) this.put(text, numbers[i]);
    }
  }
}
