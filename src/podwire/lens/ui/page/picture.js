// The picture: pieces that the server made, put, moved and taken away. It has no layout of its own.
// Only transforms and opacities are animated.

import { still } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const MOVE = 380;
const MOST = 40; // things that move at once; of more nobody could follow one, and each costs a layer
const EASE = "cubic-bezier(.2,.7,.2,1)";

const group = (name) => {
  const made = document.createElementNS(SVG, "g");
  made.setAttribute("class", name);
  return made;
};

export class Picture {
  /** announce(words): what is said to who cannot see it. */
  constructor(svg, announce) {
    this.svg = svg;
    this.announce = announce;
    this.pieces = new Map();
    this.width = this.height = 0;
    this.roving = "";
    this._clear();
  }

  /** Make it what the server says. */
  apply(delta) {
    if (delta.fresh) this._clear();
    const focused = this._focused();
    const drawn = this._parse(delta.put);
    const quiet = delta.fresh || still() || this._moving(delta) > MOST;
    for (const id of delta.gone) this._vanish(id, quiet || delta.gone.length > MOST);
    const born = [];
    delta.put.forEach((piece, at) => {
      if (this._put(piece, drawn[at], quiet)) born.push(piece);
    });
    this._size(delta);
    this._rove(focused);
    if (!delta.fresh) this._say(born, delta.gone);
    this.svg.setAttribute("aria-label", `${delta.title}. ${delta.figure}.`);
  }

  /** Boxes that a person can go to. */
  *things() {
    for (const it of this.pieces.values()) if (it.target) yield it;
  }

  /** The box that stands for a data-object, the outermost; of a VNet its gateway; else undefined. */
  find(object) {
    const all = [...this.pieces.values()].filter((it) => it.piece.object === object && it.piece.kind === "box");
    return all.find((it) => it.piece.id.startsWith("gateway:")) ?? all[0];
  }

  /** The corner of a piece in the picture. */
  corner(it) {
    let x = 0, y = 0;
    for (let at = it; at; at = this.pieces.get(at.piece.parent)) {
      x += at.piece.x;
      y += at.piece.y;
    }
    return { x, y };
  }

  /** x, y, width, height in the picture. */
  place(it) {
    return { ...this.corner(it), width: it.piece.width, height: it.piece.height };
  }

  /** The points of the line that joins two boxes, from one to the other, else null. */
  between(one, other) {
    for (const it of this.pieces.values()) {
      if (it.piece.kind !== "line") continue;
      const [start, end] = it.piece.ends;
      const there = start === one.piece.id && end === other.piece.id;
      if (!there && !(end === one.piece.id && start === other.piece.id)) continue;
      const { x, y } = this.corner(it);
      const points = it.piece.points.map(([px, py]) => ({ x: x + px, y: y + py }));
      return { it, points: there ? points : points.reverse() };
    }
    return null;
  }

  /** Give the keyboard to a thing. */
  focus(it, options) {
    if (!it?.target) return false;
    this._rove(it.piece.id);
    it.target.focus(options);
    return true;
  }

  /** Mark the things of these data-objects with a class, and no others. */
  mark(name, objects) {
    for (const one of this.svg.querySelectorAll(`.${name}`)) one.classList.remove(name);
    const wanted = new Set(objects);
    if (!wanted.size) return;
    for (const it of this.pieces.values()) {
      if (it.piece.object && wanted.has(it.piece.object)) it.own.classList.add(name);
    }
  }

  _clear() {
    this.pieces.clear();
    this.root = { boxes: group("boxes"), lines: group("lines"), texts: group("texts") };
    const world = group("world"); // has the scale, and no viewBox: another height lays nothing out anew
    world.append(this.root.boxes, this.root.lines, this.root.texts);
    this.svg.replaceChildren(world);
  }

  _size({ width, height }) {
    this.width = width;
    this.height = height;
  }

  /** All markup in one go. The server has escaped every text in it. */
  _parse(pieces) {
    const room = document.createElementNS(SVG, "svg");
    room.innerHTML = pieces.map((one) => `<g class="own">${one.markup}</g>`).join("");
    return [...room.children];
  }

  /** Whether it is new. */
  _put(piece, own, quiet) {
    const had = this.pieces.get(piece.id);
    if (!had) {
      const it = { piece, el: group("piece"), own, boxes: group("boxes"), lines: group("lines") };
      it.el.append(own, it.boxes, it.lines);
      this.pieces.set(piece.id, it);
      this._enter(it);
      this._insert(it);
      it.el.style.transform = `translate(${piece.x}px,${piece.y}px)`;
      if (!quiet) this._appear(it);
      return true;
    }
    const before = had.piece;
    had.piece = piece;
    if (before.markup !== piece.markup) {
      had.own.replaceWith(own);
      had.own = own;
      this._enter(had);
    }
    if (before.parent !== piece.parent || before.after !== piece.after) this._insert(had);
    if (before.x !== piece.x || before.y !== piece.y) this._move(had, before, quiet);
    return false;
  }

  _insert(it) {
    const { parent, after, kind } = it.piece;
    const around = this.pieces.get(parent) ?? this.root;
    const room = kind === "line" ? around.lines : kind === "texts" ? this.root.texts : around.boxes;
    const before = after ? this.pieces.get(after)?.el : null;
    const next = before?.parentNode === room ? before.nextSibling : after ? null : room.firstChild;
    if (next !== it.el) room.insertBefore(it.el, next);
  }

  /** Make a box with an object something to go to and to press. */
  _enter(it) {
    const drawn = it.own.firstElementChild;
    it.target = null;
    if (it.piece.kind !== "box" || !it.piece.object || drawn.classList.contains("container")) return;
    it.target = drawn;
    drawn.setAttribute("tabindex", it.piece.id === this.roving ? "0" : "-1");
    drawn.setAttribute("role", "button");
    drawn.setAttribute("aria-label", it.piece.label);
  }

  _move(it, before, quiet) {
    const to = `translate(${it.piece.x}px,${it.piece.y}px)`;
    it.el.style.transform = to;
    if (quiet || before.parent !== it.piece.parent) return;
    const from = `translate(${before.x}px,${before.y}px)`;
    it.el.animate([{ transform: from }, { transform: to }], { duration: MOVE, easing: EASE });
  }

  _appear(it) {
    it.el.animate([{ opacity: 0 }, { opacity: 1 }], { duration: MOVE, easing: "ease-out" });
    const { kind, object } = it.piece;
    if (kind !== "box" || !object.startsWith("pod ")) return;
    it.own.classList.add("new");
    setTimeout(() => it.own.classList.remove("new"), 2500);
  }

  _vanish(id, quiet) {
    const it = this.pieces.get(id);
    if (!it) return;
    this.pieces.delete(id);
    if (quiet) return it.el.remove();
    for (const one of it.el.querySelectorAll("[id]")) one.removeAttribute("id");
    for (const one of it.el.querySelectorAll("[tabindex]")) one.removeAttribute("tabindex");
    it.el.setAttribute("class", "piece leaving");
    const fade = it.el.animate([{ opacity: 1 }, { opacity: 0 }], { duration: MOVE, fill: "forwards" });
    fade.onfinish = fade.oncancel = () => it.el.remove();
  }

  _moving(delta) {
    const moves = (one, had) => had && (had.piece.x !== one.x || had.piece.y !== one.y);
    return delta.put.filter((one) => moves(one, this.pieces.get(one.id))).length;
  }

  _focused() {
    const at = document.activeElement;
    return at && this.svg.contains(at) ? at.id : "";
  }

  /** One thing takes part in the order of Tab: the last one that was gone to, or the first. */
  _rove(focused) {
    const wanted = this.pieces.get(focused)?.target ? focused : this.roving;
    const next = this.pieces.get(wanted)?.target ? wanted : [...this.things()][0]?.piece.id ?? "";
    if (next !== this.roving) this.pieces.get(this.roving)?.target?.setAttribute("tabindex", "-1");
    this.roving = next;
    const target = this.pieces.get(next)?.target;
    target?.setAttribute("tabindex", "0");
    if (focused && document.activeElement !== target) target?.focus({ preventScroll: true });
  }

  _say(born, gone) {
    const name = (id) => (id.startsWith("pod:") ? [id.slice(4)] : []);
    const came = born.flatMap((one) => name(one.id)), went = gone.flatMap(name);
    const words = [...came.map((one) => `pod ${one} appeared`), ...went.map((one) => `pod ${one} went`)];
    if (words.length) this.announce(words.slice(0, 5).join(", "));
  }
}
