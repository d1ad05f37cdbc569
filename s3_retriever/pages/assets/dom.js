// Elements of a page; text is always taken as text.
export function at(id) {
  return document.getElementById(id);
}

export function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

export function fill(select, entries, value) {
  select.replaceChildren(...entries.map(([key, name]) => make("option", { value: key }, name)));
  select.value = value;
}
