// A list of steps that is played, or gone through one by one: a packet's hops, a log's lines.

import { h } from "./dom.js";

export class Stepper {
  /**
   * rows: elements, one for each step. go(number, forward): does a step, resolves when it is done.
   * pause(number): milliseconds from the end of a step to the next one.
   */
  constructor(rows, go, pause) {
    Object.assign(this, { rows, go, pause, at: -1, playing: false, turn: 0 });
    this.list = h("ol", { class: "steps", "aria-label": "Steps" }, rows);
    rows.forEach((row, at) => row.addEventListener("click", () => this.to(at)));
    this.play = h("button", { class: "main", onclick: () => this.toggle() }, "▶ Play");
    this.count = h("span", { class: "count" });
    this.controls = h("div", { class: "controls", role: "group", "aria-label": "Steps" },
      h("button", { onclick: () => this.to(0), title: "From the start", "aria-label": "From the start" }, "|◀"),
      h("button", { onclick: () => this.by(-1), title: "Step back (b)", "aria-label": "Step back" }, "◀"),
      this.play,
      h("button", { onclick: () => this.by(1), title: "Next step (n)", "aria-label": "Next step" }, "▶"),
      this.count);
    this._show();
  }

  toggle() {
    if (this.playing) return this.stop();
    this.playing = true;
    this._show();
    return this._run(this.at >= this.rows.length - 1 ? 0 : this.at + 1);
  }

  stop() {
    this.playing = false;
    this.turn += 1;
    this._show();
  }

  by(step) { return this.to(this.at + step); }

  to(number) {
    this.stop();
    return number >= 0 && number < this.rows.length ? this._step(number) : undefined;
  }

  async _run(from) {
    const turn = ++this.turn;
    for (let at = from; at < this.rows.length; at += 1) {
      await this._step(at);
      if (turn !== this.turn) return;
      await new Promise((done) => setTimeout(done, this.pause(at)));
      if (turn !== this.turn) return;
    }
    this.stop();
  }

  async _step(number) {
    const forward = number === this.at + 1;
    this.at = number;
    this._show();
    const row = this.rows[number];
    row.scrollIntoView({ block: "nearest" });
    await this.go(number, forward);
  }

  _show() {
    this.rows.forEach((row, at) => {
      if (at === this.at) row.setAttribute("aria-current", "step");
      else row.removeAttribute("aria-current");
      row.classList.toggle("past", at < this.at);
    });
    this.play.textContent = this.playing ? "❚❚ Pause" : "▶ Play";
    this.count.textContent = `${this.at + 1} / ${this.rows.length}`;
  }
}
