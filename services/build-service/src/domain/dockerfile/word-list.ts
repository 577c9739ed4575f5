/** Words that grow character by character, and end at blanks. */
export class WordList {
  private readonly words: string[] = [];
  private word = "";

  /** Text whose blanks end words. */
  addText(text: string): void {
    for (const character of text) {
      if (!/\s/.test(character)) this.word += character;
      else if (this.word !== "") {
        this.words.push(this.word);
        this.word = "";
      }
    }
  }

  /** Text whose blanks belong to the word. */
  addQuoted(text: string): void {
    this.word += text;
  }

  /** All words; empty ones are none. */
  end(): string[] {
    return this.word === "" ? this.words : [...this.words, this.word];
  }
}
