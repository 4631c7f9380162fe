// Address use as bars, one for each node and subnet. A bar's parts are moved and scaled, never sized.

import { h } from "./dom.js";

const PARTS = ["used", "leaked", "cooling", "own"];

export class Bars {
  constructor(list, open) {
    Object.assign(this, { list, open, rows: new Map() });
  }

  show(uses) {
    const seen = new Set();
    for (const one of uses) {
      seen.add(one.object);
      if (!this.rows.has(one.object)) this.rows.set(one.object, this._row(one));
      this._fill(this.rows.get(one.object), one);
    }
    for (const object of [...this.rows.keys()]) if (!seen.has(object)) this.rows.delete(object);
    const order = uses.map((one) => this.rows.get(one.object).element);
    if (order.some((one, at) => this.list.children[at] !== one) || order.length !== this.list.children.length) {
      this.list.replaceChildren(...order);
    }
  }

  _row(one) {
    const parts = Object.fromEntries(PARTS.map((name) => [name, h("i", { class: name })]));
    const counts = h("span", { class: "counts" });
    const button = h("button", { class: `bar-row ${one.kind}`, onclick: () => this.open(one.object) },
      h("span", { class: "name" }, short(one.name)), h("span", { class: "range" }, one.range),
      h("span", { class: "gauge" }, Object.values(parts)), counts);
    return { element: h("li", {}, button), button, parts, counts };
  }

  _fill(row, one) {
    let from = 0;
    for (const name of PARTS) {
      const share = one.total ? one[name] / one.total : 0;
      row.parts[name].style.transform = `translateX(${from * 100}%) scaleX(${share})`;
      from += share;
    }
    const said = words(one);
    row.counts.textContent = said;
    row.button.setAttribute("aria-label", `${one.kind} ${one.name}, ${one.range}: ${said}`);
  }
}

function words(one) {
  const free = one.free + one.unassigned;
  const parts = [[one.used, "used"], [one.leaked, "leaked"], [one.cooling, "cooling"], [free, "free"]];
  return parts.filter(([count, name]) => count || name === "used" || name === "free")
    .map(([count, name]) => `${count} ${name}`).join(" · ") + ` of ${one.total}`;
}

const short = (name) => name.replace(/^aks-(.+)-\d+-vmss0*(\d+)$/, "$1 · $2");
