// A packet's path: two ends are asked for, the hops are listed and walked in the picture.

import { byId, h } from "./dom.js";
import { ask } from "./session.js";
import { Stepper } from "./stepper.js";

const DWELL = 420, DWELL_CHANGED = 1100;

export class Path {
  /** wired(): the picture shall be one in which packets can be shown. */
  constructor(panel, packet, picture, wired) {
    Object.assign(this, { panel, packet, picture, wired });
    this.form = byId("path");
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.show();
    });
  }

  /** What can be chosen as an end. */
  offer(things) {
    const option = (one) => h("option", { value: one.end }, one.words);
    byId("senders").replaceChildren(...things.filter((one) => one.sends).map(option));
    byId("ends").replaceChildren(...things.filter((one) => one.end).map(option));
  }

  async show() {
    const query = { from: byId("from").value, to: byId("to").value, protocol: byId("protocol").value };
    this.packet.hide();
    this.wired();
    this.panel.present("path", `${query.from} → ${query.to}`, [h("p", { class: "dim" }, "Computing …")]);
    try {
      this._present(await ask("path", query));
    } catch (error) {
      this.panel.present("path", `${query.from} → ${query.to}`,
        [h("p", { class: "sorry", role: "alert" }, error.message)]);
    }
  }

  _present(found) {
    const rows = found.steps.map(row);
    const stepper = new Stepper(rows, (at, forward) => this._walk(found, at, forward),
      (at) => (found.steps[at].changed.length ? DWELL_CHANGED : DWELL));
    this.panel.present("path", `${found.source} → ${found.target}`,
      [verdict(found, this.panel.hooks.open), stepper.controls, stepper.list, ...rest(found)], stepper);
    if (rows.length) stepper.toggle();
  }

  async _walk(found, at, forward) {
    await this.packet.walk(found.steps[at], forward);
    const last = at === found.steps.length - 1;
    this.picture.mark("blamed", last && found.culprit ? [found.culprit.object] : []);
  }
}

function verdict(found, open) {
  const said = { delivered: "arrives, and its answer comes back", dropped: "is dropped",
    refused: "is refused", unknown: "gets to where nothing is known" }[found.verdict];
  const blamed = found.culprit;
  return h("div", { class: `verdict ${found.verdict}`, role: "status" },
    h("strong", {}, `${found.verdict === "delivered" ? "✓" : "✕"} It ${said}.`),
    blamed ? h("p", {}, blamed.text) : null,
    blamed?.object ? h("button", { class: "link", onclick: () => open(blamed.object) }, blamed.object) : null,
    blamed?.show ? h("code", { class: "command" }, blamed.show) : null,
    blamed?.mend ? h("code", { class: "command mend" }, blamed.mend) : null);
}

function row(step) {
  const { packet } = step;
  const end = (name, ip, port) => h("span", {
    class: step.changed.includes(name) || step.changed.includes(port) ? "rewritten" : "",
  }, packet[port] ? `${packet[ip]}:${packet[port]}` : packet[ip]);
  return h("li", { class: `hop${step.reply ? " reply" : ""}${step.verdict ? ` ${step.verdict}` : ""}` },
    h("span", { class: "place" }, `${step.reply ? "← " : ""}${step.place}`),
    h("span", { class: "text" }, step.text),
    step.entry ? h("code", { title: step.entry.show }, step.entry.text) : null,
    h("span", { class: "ends" }, end("src", "src", "sport"), " → ", end("dst", "dst", "dport")),
    step.notes.map((one) => h("span", { class: one.startsWith("-A") ? "note rule" : "note" }, one)));
}

function rest(found) {
  const branches = found.branches.map((one) => h("li", { class: one.chosen ? "chosen" : "" },
    `${(one.probability * 100).toFixed(0)}%  ${one.backend}  ${one.pod}${one.culprit ? `  ✕ ${one.culprit.text}` : ""}`));
  return [
    branches.length ? h("section", {}, h("h3", {}, "Backends"), h("ul", { class: "branches" }, branches)) : null,
    found.warnings.length ? h("section", {}, h("h3", {}, "Warnings"),
      h("ul", {}, found.warnings.map((one) => h("li", {}, one)))) : null,
  ].filter(Boolean);
}
