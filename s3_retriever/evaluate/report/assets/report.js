import { at, fill, make } from "./dom.js";
import { column, hit, marked, painted } from "./hits.js";

const data = JSON.parse(document.getElementById("data").textContent);
const state = { set: 0, question: 0, budget: String(middle(data.budgets)), shown: firstShown() };

function middle(budgets) {
  return budgets.reduce((a, b) => (Math.abs(b - 2000) < Math.abs(a - 2000) ? b : a));
}

// At first: the first ranker, the best baseline, and the next of ours or of the baselines.
function firstShown() {
  const numbers = data.rankers.map((_, number) => number);
  const base = numbers.find((number) => data.rankers[number].base);
  const rest = numbers.filter((number) => data.rankers[number].role !== "reference");
  const first = [...new Set([0, base, ...rest])].filter((number) => number !== undefined);
  return first.slice(0, 3).sort((a, b) => a - b);
}

// Offsets count characters (code points), which JavaScript's own strings do not.
const letters = new Map();
function charactersOf(set, number) {
  const key = set + ":" + number;
  if (!letters.has(key)) letters.set(key, Array.from(data.sets[set].documents[number][1]));
  return letters.get(key);
}

// Heat is written as pairs of digits: a level, and a length to the base 36.
function levels(code, length) {
  const heat = new Uint8Array(length);
  for (let place = 0, from = 0; place < code.length; place += 2) {
    const to = from + parseInt(code[place + 1], 36);
    heat.fill(Number(code[place]), from, to);
    from = to;
  }
  return heat;
}

function overlaps(hit, evidence) {
  return evidence.some(([number, from, to]) => number === hit[0] && from < hit[2] && hit[1] < to);
}

// Hits up to the budget, the last one cut short.
function within(hits, budget) {
  const kept = [];
  let left = Number(budget);
  for (const [number, start, end, ...heat] of hits) {
    if (left <= 0) break;
    kept.push([number, start, Math.min(end, start + left), ...heat]);
    left -= end - start;
  }
  return kept;
}

function percent(share) {
  return share === null || share === undefined ? "–" : (100 * share).toFixed(0) + "%";
}

// Text with the evidence marked and its heat.
function shown(set, number, start, end, evidence, code) {
  const text = charactersOf(set, number).slice(start, end);
  const own = evidence.filter(([other]) => other === number);
  const gold = own.map(([, from, to]) => [from - start, to - start]);
  return painted(text, marked(text.length, gold), levels(code, text.length));
}

function box(question, [number, start, end, code], place) {
  if (number < 0) return hit(`${place + 1}. a text that no document holds`, []);
  const warm = (at("heat").checked && code) || "";
  const name = data.sets[state.set].documents[number][0];
  const pieces = shown(state.set, number, start, end, question.evidence, warm);
  const good = overlaps([number, start, end], question.evidence);
  return hit(`${place + 1}. ${name}, characters ${start}–${end}`, pieces, { good, hot: warm !== "" });
}

function columnOf(question, number) {
  const ranker = data.rankers[number];
  const found = question.found[number];
  const facts = [percent(found.recall[state.budget]) + " of the evidence"];
  if (found.answer) facts.push(make("p", { class: "answer" }, found.answer));
  const hits = within(found.hits, state.budget).map((one, place) => box(question, one, place));
  return column(ranker.tone, ranker.name, facts, hits);
}

function showQuestion() {
  const set = data.sets[state.set];
  const question = set.questions[state.question];
  const page = at("question");
  page.replaceChildren();
  if (!question) return;
  const facts = [question.type, question.answers.length && "answer: " + question.answers.join(" / ")];
  page.append(make("h3", {}, question.text));
  page.append(make("p", {}, [question.id, ...facts.filter(Boolean)].join(" · ")));
  if (question.evidence.length) {
    const gold = make("details", {}, make("summary", {}, "the evidence"));
    for (const [number, start, end] of question.evidence) {
      const place = `${set.documents[number][0]}, characters ${start}–${end}`;
      gold.append(hit(place, [charactersOf(state.set, number).slice(start, end).join("")]));
    }
    page.append(gold);
  }
  const columns = make("div", { class: "columns" });
  columns.append(...state.shown.map((number) => columnOf(question, number)));
  page.append(columns);
}

// How far the first shown ranker is ahead of the best other shown one.
function lead(question) {
  const [mine, ...others] = state.shown.map((n) => question.found[n].recall[state.budget] || 0);
  return mine - Math.max(0, ...others);
}

function ordered() {
  const words = at("filter").value.trim().toLowerCase();
  const questions = data.sets[state.set].questions;
  const numbers = questions.map((_, number) => number);
  const kept = numbers.filter((n) => questions[n].text.toLowerCase().includes(words));
  const sign = { asked: 0, wins: -1, losses: 1 }[at("order").value];
  return kept.sort((a, b) => sign * (lead(questions[a]) - lead(questions[b])) || a - b);
}

function showList() {
  const set = data.sets[state.set];
  const numbers = ordered();
  const items = numbers.map((number) => {
    const question = set.questions[number];
    const scores = make("div", { class: "scores" });
    for (const ranker of state.shown) {
      const value = percent(question.found[ranker].recall[state.budget]);
      scores.append(make("span", { class: data.rankers[ranker].tone }, make("i"), value));
    }
    const item = make("li", { tabindex: "0", "data-number": number }, question.text, scores);
    if (number === state.question) item.setAttribute("aria-current", "true");
    item.addEventListener("click", () => choose(number));
    item.addEventListener("keydown", (event) => event.key === "Enter" && choose(number));
    return item;
  });
  if (set.questions.length < set.total) {
    const words = `${set.questions.length} of ${set.total} questions are kept in this page`;
    items.push(make("li", { class: "none" }, words));
  }
  at("list").replaceChildren(...items);
}

function choose(number) {
  state.question = number;
  showList();
  showQuestion();
  const current = at("list").querySelector("[aria-current]");
  if (current) current.scrollIntoView({ block: "nearest" });
}

function showAll() {
  const numbers = ordered();
  if (!numbers.includes(state.question)) state.question = numbers[0];
  showList();
  showQuestion();
}

function showChips() {
  const chips = data.rankers.map((ranker, number) => {
    const pressed = state.shown.includes(number);
    const chip = make("button", { class: ranker.tone, "aria-pressed": pressed }, ranker.name);
    chip.addEventListener("click", () => {
      const others = state.shown.filter((other) => other !== number);
      if (pressed && !others.length) return;
      state.shown = pressed ? others : [...others, number];
      showChips();
      showAll();
    });
    return chip;
  });
  at("chips").replaceChildren(...chips);
}

fill(at("set"), data.sets.map((set, number) => [number, set.name]), 0);
fill(at("budget"), data.budgets.map((b) => [b, b + " characters"]), state.budget);
at("set").addEventListener("change", (event) => {
  state.set = Number(event.target.value);
  state.question = 0;
  showAll();
});
at("budget").addEventListener("change", (event) => {
  state.budget = event.target.value;
  showAll();
});
at("order").addEventListener("change", () => {
  state.question = undefined;
  showAll();
});
at("filter").addEventListener("input", showAll);
at("heat").addEventListener("change", showQuestion);
document.addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const inside = at("questions").contains(document.activeElement);
  if (!step || !inside || /^(INPUT|SELECT)$/.test(document.activeElement.tagName)) return;
  event.preventDefault();
  const numbers = ordered();
  const next = numbers[numbers.indexOf(state.question) + step];
  if (next !== undefined) choose(next);
  at("list").querySelector("[aria-current]").focus();
});
for (const item of document.querySelectorAll(".legend li")) {
  const light = (on) => {
    document.body.classList.toggle("lit", on);
    for (const node of document.querySelectorAll("[data-name]")) {
      node.classList.toggle("on", on && node.dataset.name === item.dataset.name);
    }
  };
  item.addEventListener("mouseenter", () => light(true));
  item.addEventListener("mouseleave", () => light(false));
}
showChips();
showAll();
