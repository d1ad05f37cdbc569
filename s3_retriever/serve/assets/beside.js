import { post } from "./api.js";
import { at, make } from "./dom.js";
import { column, hit } from "./hits.js";
import { spanBox } from "./spans.js";

// The same question by other rankers, in columns; what a ranker shares with ours has a frame.
export async function besides(question, spans, rankers, asked, open, signal) {
  const best = [...spans].sort((a, b) => b.score - a.score);
  const ours = columnOf(0, "S3", "the model's own attention", best, [], open);
  const columns = make("div", { class: "columns" }, ours);
  at("list").replaceChildren(columns);
  const { k, filter } = asked;
  const waiting = rankers.map(async ({ name, title }, n) => {
    const found = await post("/search", { question, ranker: name, k, filter }, signal);
    const numbered = found.spans.map((span, place) => ({ ...span, number: place + 1 }));
    const words = `${(1000 * found.seconds.search).toFixed(0)} ms`;
    return columnOf(5 + (n % 5), title, words, numbered, spans, open);
  });
  for (const made of waiting) columns.append(await made);
}

function columnOf(tone, title, words, spans, others, open) {
  const boxes = spans.map((span) => {
    const box = spanBox(span, null, [], () => open(span, spans));
    box.classList.toggle("good", others.some((other) => overlap(span, other)));
    return box;
  });
  const none = spans.length ? [] : [hit("nothing found", [])];
  return column(`tone-${tone}`, title, [words], [...boxes, ...none]);
}

function overlap(one, other) {
  return one.document === other.document && one.start < other.end && other.start < one.end;
}
