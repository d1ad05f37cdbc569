import { at } from "./dom.js";

const KEPT = "s3-retriever-theme";

// Dark or light: as the system has it, until the button is pressed.
export function readyTheme() {
  const root = document.documentElement;
  const kept = localStorage.getItem(KEPT);
  if (kept) root.dataset.theme = kept;
  at("theme").addEventListener("click", () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
    root.dataset.theme = next;
    localStorage.setItem(KEPT, next);
  });
}
