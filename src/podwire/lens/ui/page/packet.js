// A packet that goes its way in the picture, along the lines that are drawn there.

import { still } from "./dom.js";

const SPEED = 0.55; // pixels of the picture in a millisecond
const SHORTEST = 260, LONGEST = 1100;

export class Packet {
  constructor(element, picture, stage) {
    Object.assign(this, { element, picture, stage, at: null, it: null });
    [this.dot, this.text] = element.children;
  }

  hide() {
    this.element.hidden = true;
    this.at = this.it = null;
    this.picture.mark("walked", []);
    this.picture.mark("blamed", []);
  }

  /** To the things of a step, one after the other. step: as /api/path gives one. */
  async walk(step, forward) {
    const found = step.at.map((one) => this.picture.find(one)).filter(Boolean);
    this.element.classList.toggle("reply", step.reply);
    this.element.classList.toggle("lost", !!step.verdict && step.verdict !== "delivered");
    this.element.classList.toggle("arrived", step.verdict === "delivered");
    this._say(step);
    const here = found.at(-1) ?? this.it;
    if (here) this.stage.show(here);
    for (const it of found) await this._go(it, forward);
    this.picture.mark("walked", found.map((one) => one.piece.object));
  }

  _say(step) {
    const { src, dst, sport, dport, protocol } = step.packet;
    const end = (ip, port) => (port ? `${ip}:${port}` : ip);
    this.text.textContent = `${protocol} ${end(src, sport)} → ${end(dst, dport)}`;
    this.element.classList.toggle("rewritten", step.changed.length > 0);
  }

  async _go(it, forward) {
    const points = this._way(it, forward);
    const end = points.at(-1);
    this.it = it;
    this.at = end;
    this.element.hidden = false;
    this.element.style.transform = place(end);
    const length = long(points);
    if (length < 1 || still()) return;
    const time = Math.min(LONGEST, Math.max(SHORTEST, length / SPEED));
    const frames = points.map((one, at) => ({
      transform: place(one), offset: long(points.slice(0, at + 1)) / length,
    }));
    this.running?.cancel();
    this.running = this.element.animate(frames, { duration: time, easing: "ease-in-out" });
    await this.running.finished.catch(() => undefined);
  }

  /** From where it is: along the line that leads there, else straight. */
  _way(it, forward) {
    const box = this.picture.place(it);
    const low = box.height <= 125; // on its edge, where it hides no text
    const middle = { x: box.x + Math.min(box.width / 2, 46), y: box.y + (low ? box.height : 0) };
    if (!this.at || !this.it || !forward || this.it === it) return [middle];
    const line = this.picture.between(this.it, it);
    return line ? [this.at, ...line.points, middle] : [this.at, middle];
  }
}

const place = ({ x, y }) => `translate(calc(${x}px * var(--scale)),calc(${y}px * var(--scale)))`;

function long(points) {
  let sum = 0;
  for (let at = 1; at < points.length; at += 1) {
    sum += Math.hypot(points[at].x - points[at - 1].x, points[at].y - points[at - 1].y);
  }
  return sum;
}
