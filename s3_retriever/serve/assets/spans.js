import { at, make } from "./dom.js";
import { hit, painted } from "./hits.js";
import { partsOf } from "./parts.js";

// A place in words: the source as people cite it, and the characters.
export function placeOf(span) {
  const from = span.start.toLocaleString();
  return `${span.citation}, characters ${from}–${span.end.toLocaleString()}`;
}

function likelihood(relevance) {
  const words = "how likely this passage holds evidence for the question";
  return make("span", { class: "likely", title: words }, `${Math.round(100 * relevance)}% likely`);
}

// A found span in its box, which `open` is called by; `heat` has a level for each character, or is
// null.
export function spanBox(span, heat, more, open) {
  const letters = Array.from(span.text);
  const none = new Uint8Array(letters.length);
  const number = make("span", { class: "number" }, span.number);
  const pieces = painted(letters, none, heat || none);
  if (span.header) pieces.unshift(make("small", { class: "columns-of" }, span.header));
  const likely = typeof span.relevance === "number" ? [likelihood(span.relevance)] : [];
  const title = [number, placeOf(span), ...likely];
  const box = hit(title, [...pieces, ...more], { hot: heat !== null });
  box.setAttribute("tabindex", "0");
  box.setAttribute("role", "button");
  box.addEventListener("click", open);
  box.addEventListener("keydown", (event) => event.key === "Enter" && open());
  return box;
}

// The list of spans, best first.
export class SpanList {
  constructor(spans, weighing, open) {
    this.spans = [...spans].sort((a, b) => b.score - a.score);
    this.order = this.spans.map((span) => spans.indexOf(span));
    this.weighing = weighing;
    this.open = open;
    this.current = null;
    this.show(null);
  }

  show(heat) {
    const boxes = this.spans.map((span, n) => {
      const length = Array.from(span.text).length;
      const levels = heat ? heat.levels(this.order[n], length) : null;
      return spanBox(span, levels, [partsOf(span, this.weighing)], () => this.choose(span));
    });
    const focused = [...at("list").children].indexOf(document.activeElement);
    at("list").replaceChildren(...boxes);
    this.mark();
    if (focused >= 0 && boxes[focused]) boxes[focused].focus({ preventScroll: true });
  }

  choose(span) {
    this.current = span;
    this.mark();
    this.open(span);
  }

  step(by) {
    const next = this.spans.indexOf(this.current) + by;
    if (!this.spans[next]) return;
    this.choose(this.spans[next]);
    at("list").children[next].scrollIntoView({ block: "nearest" });
  }

  mark() {
    const now = this.spans.indexOf(this.current);
    [...at("list").children].forEach((box, n) => box.toggleAttribute("aria-current", n === now));
  }
}
