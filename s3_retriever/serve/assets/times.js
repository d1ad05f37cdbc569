import { at, make } from "./dom.js";

const STEPS = [
  ["read", "reading the question"],
  ["candidates", "looking"],
  ["scores", "scoring"],
  ["hop", "second hop"],
  ["spans", "cutting spans"],
  ["answer", "answering"],
];

// The seconds of each step, in words.
export function showTimes(seconds) {
  const told = STEPS.filter(([name]) => seconds[name] !== undefined);
  const pieces = told.flatMap(([name, words], n) => {
    const value = seconds[name];
    const time = value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toFixed(1)} s`;
    return [n ? " · " : "", `${words} `, make("b", {}, time)];
  });
  at("times").replaceChildren(...pieces);
}
