// Searching things by any word of theirs: a combobox with a list.

import { byId, h } from "./dom.js";

const MOST = 12;

export class Search {
  constructor(choose) {
    Object.assign(this, { choose, things: [], found: [], at: -1 });
    this.input = byId("search");
    this.list = byId("found");
    this.input.addEventListener("input", () => this._find());
    this.input.addEventListener("focus", () => this._find());
    this.input.addEventListener("blur", () => this._close());
    this.input.addEventListener("keydown", (event) => this._key(event));
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  _find() {
    const words = this.input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fits = (one) => words.every((word) => `${one.object} ${one.words}`.toLowerCase().includes(word));
    this.found = words.length ? this.things.filter(fits).slice(0, MOST) : [];
    this.list.replaceChildren(...this.found.map((one, at) => h("li", {
      role: "option", id: `found-${at}`, "aria-selected": "false",
      onmousedown: (event) => { event.preventDefault(); this._take(at); },
    }, h("span", { class: "kind" }, one.object.split(" ")[0]), h("span", {}, one.name),
    h("span", { class: "dim" }, one.words))));
    this._open(this.found.length > 0);
    this._mark(this.found.length ? 0 : -1);
  }

  _open(shown) {
    this.list.hidden = !shown;
    this.input.setAttribute("aria-expanded", String(shown));
  }

  _close() {
    this._open(false);
    this._mark(-1);
  }

  _mark(at) {
    this.at = at;
    [...this.list.children].forEach((one, i) => one.setAttribute("aria-selected", String(i === at)));
    if (at < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `found-${at}`);
  }

  _key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      event.preventDefault();
      this._mark((this.at + step + this.found.length) % this.found.length);
    } else if (event.key === "Enter" && this.at >= 0) {
      event.preventDefault();
      this._take(this.at);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (this.list.hidden) this.input.value = "";
      this._close();
      this.input.blur();
      byId("stage").focus();
    }
  }

  _take(at) {
    const one = this.found[at];
    this._close();
    this.choose(one.object);
  }
}
