import { at, fill, make } from "./dom.js";

const OPERATORS = [["eq", "="], ["ne", "≠"], ["gte", "≥"], ["lte", "≤"]];
let known = {};
let changed = () => {};

// Ready the switches: `about` is what the server tells, `again` is called when one changes.
export function readySwitches(about, again) {
  known = about.metadata;
  changed = again;
  const own = about.settings.search;
  at("k").value = at("k-shown").value = Math.min(own.k, 20);
  for (const name of ["bm25", "second_hop", "exact"]) at(name).checked = own[name];
  at("k").addEventListener("input", () => (at("k-shown").value = at("k").value));
  for (const id of ["k", "bm25", "second_hop", "exact", "write", "compare"]) {
    at(id).addEventListener("change", changed);
  }
  at("add-filter").hidden = Object.keys(known).length === 0;
  at("add-filter").addEventListener("click", addFilter);
}

function addFilter() {
  const key = make("select", { "aria-label": "metadata" });
  const operator = make("select", { "aria-label": "comparison" });
  const list = make("datalist", { id: `values-${at("filters").children.length}-${Date.now()}` });
  const value = make("input", { "aria-label": "value", list: list.id });
  const away = make("button", { type: "button", class: "plain", "aria-label": "no filter" }, "×");
  const row = make("span", { class: "filter" }, key, operator, value, list, away);
  const offer = () => {
    list.replaceChildren(...known[key.value].map((one) => make("option", { value: one })));
  };
  const keys = Object.keys(known);
  fill(key, keys.map((name) => [name, name]), keys[0]);
  fill(operator, OPERATORS, "eq");
  offer();
  key.addEventListener("change", offer);
  for (const node of [key, operator, value]) node.addEventListener("change", changed);
  away.addEventListener("click", () => {
    row.remove();
    changed();
  });
  at("filters").append(row);
  value.focus();
}

// What was typed, as a value of the kind that the key has.
function valueOf(key, text) {
  const kinds = new Set(known[key].map((one) => typeof one));
  if (kinds.has("boolean") && /^(true|false)$/.test(text)) return text === "true";
  return kinds.has("number") && text !== "" && !isNaN(text) ? Number(text) : text;
}

function filterOf() {
  const conditions = [...at("filters").querySelectorAll(".filter")].flatMap((row) => {
    const [key, operator] = row.querySelectorAll("select");
    const text = row.querySelector("input").value.trim();
    return text ? [{ [key.value]: { [operator.value]: valueOf(key.value, text) } }] : [];
  });
  return conditions.length ? { $and: conditions } : null;
}

// The switches as fields of a request.
export function settings() {
  const flags = ["bm25", "second_hop", "exact"].map((name) => [name, at(name).checked]);
  return { k: Number(at("k").value), filter: filterOf(), ...Object.fromEntries(flags) };
}
