import { make } from "./dom.js";

// The parts of a score: a short name, and what it is.
const PARTS = {
  s3: ["attention", "how strongly the model, reading your question, attends to this passage"],
  bm25: ["words in common", "rare words that stand in the question and here (BM25)"],
  meaning: ["meaning", "says the same in whatever words"],
  place: ["named document", "the document fits the words of the question that name one"],
  whole: ["whole document", "the document as a whole fits what is asked"],
  document: ["best of document", "the best passage of this document scores so much"],
  hop: ["second hop", "another found passage names something that is told here"],
  bias: ["lead or tail", "the beginning or end of a document that something was found in"],
};

// A list that says what the bars are.
export function legendOfParts() {
  const entries = Object.values(PARTS).flatMap(([title, words]) => {
    return [make("dt", {}, title), make("dd", {}, words)];
  });
  const scale = "A bar is what this evidence added to the span's score: standard deviations above " +
    "the average sentence, times the weight of this kind of evidence.";
  return [make("p", {}, scale), make("dl", {}, ...entries)];
}

// What each kind of evidence added to a span's score, greatest first, as bars.
export function partsOf(span, weighing) {
  const given = Object.entries(span.parts).map(([name, value]) => {
    return [name, value * (weighing[name] ?? (weighing.others || {})[name] ?? 1)];
  });
  given.sort(([, a], [, b]) => b - a);
  const most = Math.max(...given.map(([, value]) => Math.abs(value)), 1);
  const rows = given.flatMap(([name, value]) => {
    const [title, words] = PARTS[name] || [name, "another kind of evidence"];
    const bar = make("i", { class: value < 0 ? "less" : "more" });
    bar.style.width = `${(100 * Math.abs(value)) / most}%`;
    const number = `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;
    return [make("span", { title: words }, title), bar, make("span", {}, number)];
  });
  return make("div", { class: "parts" }, ...rows);
}
