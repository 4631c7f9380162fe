// The panel at the right: what a thing is made of, how a pod was born, a path's steps.

import { byId, h } from "./dom.js";
import { ask } from "./session.js";
import { Stepper } from "./stepper.js";

const LINE = 650;

export class Panel {
  /** hooks: open(object), mark(objects), closed(). */
  constructor(hooks) {
    this.hooks = hooks;
    this.element = byId("panel");
    this.body = byId("panel-body");
    this.tabs = byId("tabs");
    this.object = "";
    this.stepper = null;
    byId("close").addEventListener("click", () => this.close());
    this.tabs.addEventListener("keydown", (event) => this._key(event));
  }

  get shown() { return !this.element.hidden; }

  async open(object) {
    this._show(object.split(" ")[0], object.slice(object.indexOf(" ") + 1));
    this.object = object;
    this.body.replaceChildren(h("p", { class: "dim" }, "Reading …"));
    try {
      const found = await ask("object", { id: object });
      if (this.object !== object) return;
      byId("panel-title").textContent = found.title;
      const tabs = [["Kernel objects", () => sections(found, this.hooks.open)]];
      if (found.pod) tabs.push(["Its ADD, line by line", () => this._birth(found.pod)]);
      this._tabs(tabs);
    } catch (error) {
      if (this.object === object) this._problem(error);
    }
  }

  /** title, and what goes into the body: for a path. */
  present(kind, title, content, stepper) {
    this._show(kind, title);
    this.object = "";
    this.stepper = stepper;
    this.body.replaceChildren(...content);
  }

  close() {
    if (!this.shown) return;
    this._forget();
    this.element.hidden = true;
    this.object = "";
    this.hooks.closed();
  }

  _show(kind, title) {
    this._forget();
    this.element.hidden = false;
    byId("panel-kind").textContent = kind;
    byId("panel-title").textContent = title;
    this.tabs.replaceChildren();
    this.body.scrollTop = 0;
  }

  _forget() {
    this.stepper?.stop();
    this.stepper = null;
    this.hooks.mark([]);
  }

  _problem(error) {
    this.body.replaceChildren(h("p", { class: "sorry", role: "alert" }, error.message));
  }

  _tabs(tabs) {
    const buttons = tabs.map(([name, fill]) => h("button", {
      role: "tab", "aria-selected": "false", "aria-controls": "panel-body", tabindex: "-1",
      onclick: (event) => this._choose(event.currentTarget, fill),
    }, name));
    this.tabs.replaceChildren(...(buttons.length > 1 ? buttons : []));
    this._choose(buttons[0], tabs[0][1]);
  }

  async _choose(button, fill) {
    this._forget();
    for (const one of this.tabs.children) {
      one.setAttribute("aria-selected", String(one === button));
      one.tabIndex = one === button ? 0 : -1;
    }
    const object = this.object;
    try {
      const content = await fill();
      if (this.object === object) this.body.replaceChildren(...content);
    } catch (error) {
      this._problem(error);
    }
    this.body.scrollTop = 0;
  }

  _key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const all = [...this.tabs.children], at = all.indexOf(document.activeElement);
    if (!step || at < 0) return;
    const next = all[(at + step + all.length) % all.length];
    next.focus();
    next.click();
  }

  async _birth(pod) {
    this.body.replaceChildren(h("p", { class: "dim" }, "Reading azure-vnet.log …"));
    const call = await ask("log", { pod });
    const rows = call.lines.map((line, at) => row(line, call.objects[at]));
    this.stepper = new Stepper(rows, async (at) => this.hooks.mark(call.objects[at]), () => LINE);
    const took = call.took === null ? "has not ended" : `took ${call.took} ms`;
    return [
      h("p", { class: "dim" }, `${call.verb} of container ${call.container_id.slice(0, 12)} `
        + `${call.ifname}, ${took}${call.failed ? ", failed" : ""}. ${call.lines[0].stamp}, azure-vnet.log `
        + "of its node; what a line is about is marked in the picture."),
      this.stepper.controls,
      this.stepper.list,
    ];
  }
}

function row(line, objects) {
  return h("li", { class: `line ${line.level}${objects.length ? " about" : ""}`, title: line.raw },
    h("span", { class: "component" }, line.component || "·"),
    h("span", { class: "text" }, line.text));
}

function sections(found, open) {
  const made = found.sections.map((one) => h("section", {},
    h("h3", {}, one.title),
    one.command ? h("code", { class: "command", title: "the command that shows it" }, one.command) : null,
    one.facts.length ? h("dl", {}, one.facts.map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value)))) : null,
    one.lines.length ? h("div", { class: "out" }, one.lines.map((line) => h("div", {}, line))) : null));
  if (!found.see.length) return made;
  const links = found.see.map(([label, object]) =>
    h("li", {}, h("button", { class: "link", onclick: () => open(object) }, label)));
  return [h("ul", { class: "see", "aria-label": "See also" }, links), ...made];
}
