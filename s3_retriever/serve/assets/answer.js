import { at, make } from "./dom.js";

// An answer that comes in pieces, with numbers where a span holds what a sentence says.
export class AnswerBox {
  constructor(open) {
    this.open = open;
    this.text = "";
    this.citations = [];
    at("answer").hidden = false;
    at("answer-text").classList.add("writing");
    this.show();
  }

  add(piece) {
    this.text += piece;
    this.show();
  }

  cite(citation) {
    this.citations.push(citation);
    this.show();
  }

  end() {
    at("answer-text").classList.remove("writing");
    if (!this.text) at("answer-text").textContent = "The model wrote nothing.";
  }

  show() {
    const letters = Array.from(this.text);
    const nodes = [];
    let from = 0;
    for (const { start, end, number, written } of this.citations) {
      nodes.push(letters.slice(from, written ? start : end).join(""), this.button(number));
      from = end;
    }
    nodes.push(letters.slice(from).join(""));
    at("answer-text").replaceChildren(...nodes);
  }

  button(number) {
    const label = `span ${number} in its source`;
    const button = make("button", { type: "button", class: "cite", "aria-label": label }, number);
    button.addEventListener("click", () => this.open(number));
    return button;
  }
}
