import { at, make } from "./dom.js";
import { level } from "./hits.js";

// What each word of a question attends to in the spans shown: chips of the words, and levels of
// heat for the characters of each span.
export class HeatOfWords {
  constructor(question, told, changed) {
    this.told = told;
    this.word = null;
    this.changed = changed;
    const letters = Array.from(question);
    const chips = told.words.map(([start, end], word) => {
      return this.chip(letters.slice(start, end).join(""), word);
    });
    at("words").replaceChildren(this.chip("all words", null), ...chips);
    this.choose(null);
  }

  chip(text, word) {
    const chip = make("button", { type: "button" }, text);
    chip.addEventListener("mouseenter", () => this.choose(word));
    chip.addEventListener("focus", () => this.choose(word));
    chip.addEventListener("click", () => this.choose(word));
    return chip;
  }

  choose(word) {
    this.word = word;
    const chosen = word === null ? 0 : word + 1;
    [...at("words").children].forEach((chip, n) => chip.setAttribute("aria-pressed", n === chosen));
    const hottest = Math.max(...this.told.places.flatMap((p) => p.shares.map((s) => this.mass(s))));
    this.hottest = hottest;
    this.changed(this);
  }

  mass(shares) {
    return this.word === null ? shares.reduce((a, b) => a + b, 0) : shares[this.word];
  }

  // Levels, one for each character of the place of that number.
  levels(place, length) {
    const heat = new Uint8Array(length);
    const { ends, shares } = this.told.places[place];
    let from = 0;
    ends.forEach((end, token) => {
      heat.fill(level(this.mass(shares[token]), this.hottest), from, end);
      from = end;
    });
    return heat;
  }
}
