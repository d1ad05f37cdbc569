import { make } from "./dom.js";

// Heat goes from 0 to 9: the square root of a token's share of the hottest one's, in tenths.
export function level(mass, hottest) {
  return hottest > 0 ? Math.min(Math.floor(10 * Math.sqrt(mass / hottest)), 9) : 0;
}

// Which of some places [from, to) each character lies in, counted from 1; 0 where in none.
export function marked(length, places) {
  const marks = new Uint8Array(length);
  places.forEach(([from, to], n) => marks.fill(n + 1, Math.max(from, 0), Math.max(to, 0)));
  return marks;
}

// Text with its marks and, where there is heat, each token as warm as it was. All three have an
// entry for each character (code point), which JavaScript's own strings do not count.
export function painted(characters, marks, heat) {
  const pieces = [];
  for (let first = 0, place = 1; place <= characters.length; place += 1) {
    const same =
      place < characters.length && marks[place] === marks[first] && heat[place] === heat[first];
    if (same) continue;
    const names = [marks[first] && "gold", heat[first] && "h" + heat[first]].filter(Boolean);
    const words = characters.slice(first, place).join("");
    pieces.push(names.length ? make("span", { class: names.join(" ") }, words) : words);
    first = place;
  }
  return pieces;
}

// A found piece of text in its box.
export function hit(title, pieces, { good = false, hot = false } = {}) {
  const names = ["hit", good && "good", hot && "hot"].filter(Boolean);
  return make("div", { class: names.join(" ") }, make("small", {}, ...[title].flat()), ...pieces);
}

// What one ranker found, under its name.
export function column(tone, name, facts, hits) {
  const lines = facts.map((fact) => (typeof fact === "string" ? make("p", {}, fact) : fact));
  return make("div", { class: "column " + tone }, make("h4", {}, name), ...lines, ...hits);
}
