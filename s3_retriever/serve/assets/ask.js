import { AnswerBox } from "./answer.js";
import { events, get, post, useToken } from "./api.js";
import { besides } from "./beside.js";
import { at, make } from "./dom.js";
import { HeatOfWords } from "./heat.js";
import { legendOfParts } from "./parts.js";
import { Source } from "./source.js";
import { SpanList } from "./spans.js";
import { readySwitches, settings } from "./switches.js";
import { readyTheme } from "./theme.js";
import { showTimes } from "./times.js";

const TOKENS = 100; // more than a span has, as a rule

const source = new Source();
let about = null;
let running = null; // what can be stopped
let shown = null; // the list of spans on the page

function say(words, wrong = false) {
  at("status").textContent = words;
  at("status").classList.toggle("wrong", wrong);
}

function busy(controller) {
  running = controller;
  at("go").textContent = controller ? "Stop" : "Ask";
}

function stop() {
  if (running) {
    running.abort();
    say("stopped");
  }
  at("answer-text").classList.remove("writing");
  busy(null);
}

function clear() {
  stop();
  shown = null;
  source.close();
  at("answer").hidden = at("found").hidden = true;
  for (const id of ["answer-text", "list", "words", "times"]) at(id).replaceChildren();
}

async function ask() {
  const question = at("question").value.trim();
  if (!question || !about) return;
  clear();
  const controller = new AbortController();
  busy(controller);
  try {
    await run(question, settings(), controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) say(error.message, true);
  }
  if (running === controller) busy(null);
}

async function run(question, asked, signal) {
  const write = at("write").checked;
  const path = write ? "/answer" : "/search";
  const room = Math.max(about.settings.answer.token_budget, TOKENS * asked.k);
  const body = { question, ...asked, ...(write ? { token_budget: room } : {}) };
  let box = null;
  let last = null;
  say("asking …");
  for await (const [name, data] of events(path, body, signal)) {
    if (signal.aborted) return;
    last = name;
    if (name === "place") say(placeInQueue(data.place));
    if (name === "error") throw new Error(data.error);
    if (name === "spans" || (name === "done" && !write)) {
      showTimes(data.seconds);
      if (write && data.spans.length) box = new AnswerBox((n) => shown && shown.open(n));
      say(data.spans.length ? "" : "nothing found; widen the filter or ask in other words");
      await showSpans(question, data.spans, asked, signal);
    }
    if (box && name === "piece") box.add(data.text);
    if (box && name === "citation") box.cite(data);
    if (box && name === "done") {
      box.end();
      showTimes(data.seconds);
    }
  }
  if (last !== "done") throw new Error("the server broke off before the end; ask again");
}

function placeInQueue(place) {
  if (place === 0) return "the model reads your question …";
  return place === 1 ? "one request is before yours …" : `${place} requests are before yours …`;
}

async function showSpans(question, found, asked, signal) {
  const spans = found.map((span, n) => ({ ...span, number: n + 1 }));
  at("found").hidden = spans.length === 0;
  const open = (span, others = spans) => source.show(span, others).catch((e) => say(e.message, true));
  if (at("compare").checked) {
    shown = { open: (n) => open(spans[n - 1]), step: () => {} };
    besides(question, spans, about.rankers, asked, open, signal).catch(() => {});
    return;
  }
  const list = new SpanList(spans, about.settings.search.weighing, open);
  shown = { open: (n) => list.choose(spans[n - 1]), step: (by) => list.step(by) };
  if (spans.length && matchMedia("(min-width: 1100px)").matches) list.choose(list.spans[0]);
  warm(question, spans, list, signal).catch(() => {});
}

async function warm(question, spans, list, signal) {
  if (!spans.length) return;
  const places = spans.map(({ document, start, end }) => ({ document, start, end }));
  const told = await post("/heat", { question, places }, signal);
  if (signal.aborted) return;
  new HeatOfWords(question, told, (heat) => list.show(heat));
}

async function begin() {
  try {
    about = await get("/about");
  } catch (error) {
    if (error.status === 401) return askForToken();
    return say(error.message, true);
  }
  const count = (number) => number.toLocaleString();
  const { documents, tokens, model } = about;
  at("about").textContent = `${count(documents)} documents, ${count(tokens)} tokens, by ${model}`;
  document.title = `Ask ${count(documents)} documents`;
  let soon = null;
  readySwitches(about, () => {
    clearTimeout(soon);
    soon = setTimeout(ask, 150);
  });
}

function askForToken() {
  const input = make("input", { type: "password", "aria-label": "token", placeholder: "token" });
  input.addEventListener("change", () => {
    useToken(input.value);
    begin();
  });
  at("about").replaceChildren("This server wants its token: ", input);
  input.focus();
}

at("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (running) stop();
  else ask();
});
at("question").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  ask();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") return running ? stop() : source.close();
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey) return;
  const step = { j: 1, k: -1 }[event.key];
  if (step && shown) shown.step(step);
  if (event.key === "/") {
    event.preventDefault();
    at("question").focus();
  }
});
readyTheme();
at("legend").append(...legendOfParts());
begin();
