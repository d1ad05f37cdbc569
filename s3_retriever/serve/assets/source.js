import { get } from "./api.js";
import { at, make } from "./dom.js";
import { marked, painted } from "./hits.js";

const HEIGHT = 0.55; // pixels that a character takes before it is shown, about

// A document beside the spans, block by block: only what comes near the window is fetched, and
// only what is in it is laid out.
export class Source {
  constructor() {
    this.id = null;
    this.watch = new IntersectionObserver((seen) => this.seen(seen), {
      root: at("source-text"),
      rootMargin: "1500px",
    });
    at("source-close").addEventListener("click", () => this.close());
  }

  close() {
    at("source").hidden = true;
    at("found").classList.remove("open");
  }

  // Show a span, and mark the others of its document.
  async show(span, spans) {
    at("source").hidden = false;
    at("found").classList.add("open");
    const own = spans.filter((other) => other.document === span.document);
    const key = JSON.stringify([span.document, own.map((other) => other.id)]);
    if (this.id !== key) await this.open(key, span.document, own);
    this.current = span;
    for (const [n, tick] of [...at("source-margin").children].entries()) {
      tick.toggleAttribute("aria-current", own[n].id === span.id);
    }
    await this.scroll(span);
  }

  async open(key, id, spans) {
    this.id = key;
    const head = await get(`/documents/${encodeURIComponent(id)}?end=0&blocks=true`);
    if (this.id !== key) return;
    this.watch.disconnect();
    this.document = { id, spans, starts: [...head.blocks, head.characters], loading: new Map() };
    at("source-name").textContent = `${id} · ${head.characters.toLocaleString()} characters`;
    const blocks = head.blocks.map((start, n) => {
      const node = make("div", { "data-block": n });
      const height = Math.round((this.document.starts[n + 1] - start) * HEIGHT);
      node.style.minHeight = `${height}px`;
      node.style.containIntrinsicSize = `auto ${height}px`;
      return node;
    });
    at("source-text").replaceChildren(...blocks);
    at("source-margin").replaceChildren(...spans.map((span) => this.tick(span, head.characters)));
    blocks.forEach((node) => this.watch.observe(node));
  }

  tick(span, characters) {
    const tick = make("button", { type: "button", "aria-label": `span ${span.number}` });
    tick.style.top = `${(100 * span.start) / characters}%`;
    tick.style.height = `${(100 * (span.end - span.start)) / characters}%`;
    tick.addEventListener("click", () => this.show(span, this.document.spans));
    return tick;
  }

  seen(entries) {
    for (const entry of entries) {
      if (entry.isIntersecting) this.load(Number(entry.target.dataset.block));
    }
  }

  load(n) {
    const { loading } = this.document;
    if (!loading.has(n)) loading.set(n, this.fetched(this.document, n));
    return loading.get(n);
  }

  async fetched(document_, n) {
    const [start, end] = document_.starts.slice(n, n + 2);
    const path = `/documents/${encodeURIComponent(document_.id)}?start=${start}&end=${end}`;
    const letters = Array.from((await get(path)).text);
    if (this.document !== document_) return;
    const places = document_.spans.map((span) => [span.start - start, span.end - start]);
    const marks = marked(letters.length, places);
    const node = at("source-text").children[n];
    node.replaceChildren(...painted(letters, marks, new Uint8Array(letters.length)));
    node.style.minHeight = "";
    this.watch.unobserve(node);
  }

  // Bring a span to the middle, once the blocks around it are there.
  async scroll(span) {
    const { starts } = this.document;
    const n = starts.findLastIndex((start, n) => n < starts.length - 1 && start <= span.start);
    const near = [n - 1, n, n + 1].filter((m) => m >= 0 && m < starts.length - 1);
    await Promise.all(near.map((m) => this.load(m)));
    if (this.current !== span) return;
    const block = at("source-text").children[n];
    let place = starts[n];
    for (const node of block.childNodes) {
      const length = Array.from(node.textContent).length;
      if (place + length > span.start) return this.point(node);
      place += length;
    }
  }

  point(node) {
    for (const old of at("source-text").querySelectorAll(".here")) old.classList.remove("here");
    if (!node.classList) return;
    node.classList.add("here");
    const box = at("source-text");
    for (let again = 0; again < 2; again += 1) {
      const off = node.getBoundingClientRect().top - box.getBoundingClientRect().top;
      box.scrollTop += off - box.clientHeight / 3;
    }
  }
}
