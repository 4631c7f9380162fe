// Where the picture is looked at: its size, scrolling, the mouse, and going about with arrow keys.

const STEPS = [0.15, 0.2, 0.28, 0.4, 0.55, 0.7, 0.85, 1, 1.2, 1.4, 1.7, 2, 2.5, 3];
const AHEAD = {
  ArrowLeft: (a, b) => [a.x - b.x, Math.abs(a.y - b.y)],
  ArrowRight: (a, b) => [b.x - a.x, Math.abs(a.y - b.y)],
  ArrowUp: (a, b) => [a.y - b.y, Math.abs(a.x - b.x)],
  ArrowDown: (a, b) => [b.y - a.y, Math.abs(a.x - b.x)],
};

export class Stage {
  /** open(object): a thing was pressed. */
  constructor(element, sheet, picture, open) {
    Object.assign(this, { element, sheet, picture, open });
    this.scale = 1;
    this.fitted = true;
    element.addEventListener("click", (event) => this._click(event));
    element.addEventListener("keydown", (event) => this._key(event));
    element.addEventListener("wheel", (event) => this._wheel(event), { passive: false });
    this.room = element.clientWidth; // asked once: asking again makes the browser lay all out first
    new ResizeObserver(([{ contentRect }]) => {
      this.room = contentRect.width;
      if (this.fitted) this.fit();
    }).observe(element);
  }

  /** As wide as there is room, but never so small that nobody can read it. */
  fit() {
    this.fitted = true;
    const room = this.room - 8;
    if (this.picture.width && room > 0) {
      this._scale(Math.min(1.6, Math.max(0.3, room / this.picture.width)));
    }
  }

  /** by: 1 for the next larger size, -1 for the next smaller one. */
  zoom(by) {
    this.fitted = false;
    const next = by > 0
      ? STEPS.find((one) => one > this.scale + 0.01)
      : STEPS.findLast((one) => one < this.scale - 0.01);
    if (next) this._scale(next);
  }

  /** After the picture has another size. A little narrower is no reason to draw all of it anew. */
  resized() {
    const share = (this.picture.width * this.scale) / this.room;
    if (this.fitted && (share > 1 || share < 0.85)) this.fit();
    else this._scale(this.scale);
  }

  /** Scroll so that a thing is seen. */
  show(it, behavior = "smooth") {
    if (!it) return;
    const { x, y, width, height } = this.picture.place(it), s = this.scale, e = this.element;
    const off = (at, long, from, room) => (at < from + 40 || at + long > from + room - 40);
    if (!off(x * s, width * s, e.scrollLeft, e.clientWidth)
      && !off(y * s, height * s, e.scrollTop, e.clientHeight)) return;
    e.scrollTo({
      left: (x + width / 2) * s - e.clientWidth / 2,
      top: (y + Math.min(height, 200) / 2) * s - e.clientHeight / 2,
      behavior,
    });
  }

  _scale(scale) {
    const e = this.element, old = this.scale;
    const from = old === scale ? null : { x: e.scrollLeft, y: e.scrollTop, high: e.clientHeight };
    this.scale = scale;
    const size = { width: this.picture.width * scale, height: this.picture.height * scale };
    for (const [name, value] of Object.entries(size)) {
      this.sheet.style[name] = `${value}px`;
      this.picture.svg.setAttribute(name, value);
    }
    if (!from) return;
    this.sheet.style.setProperty("--scale", scale);
    const by = scale / old;
    e.scrollLeft = (from.x + this.room / 2) * by - this.room / 2;
    e.scrollTop = from.y < 4 ? 0 : (from.y + from.high / 2) * by - from.high / 2;
  }

  _wheel(event) {
    if (!event.ctrlKey) return;
    event.preventDefault();
    this.zoom(-event.deltaY);
  }

  _click(event) {
    const drawn = event.target.closest?.("[data-object]");
    if (!drawn || getSelection()?.toString()) return;
    this.picture.focus(this.picture.pieces.get(drawn.id), { preventScroll: true });
    this.open(drawn.dataset.object);
  }

  _key(event) {
    const here = this.picture.pieces.get(document.activeElement?.id);
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (here && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      event.stopPropagation();
      this.open(here.piece.object);
    } else if (event.key in AHEAD || event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const next = this._next(here, event.key);
      this.picture.focus(next, { preventScroll: true });
      this.show(next);
    }
  }

  /** The nearest thing in a direction; corners are compared, so that a box is before its content. */
  _next(here, key) {
    const all = [...this.picture.things()];
    if (!here || key === "Home") return all[0];
    if (key === "End") return all.at(-1);
    const from = this.picture.corner(here);
    let best = null, least = Infinity;
    for (const one of all) {
      const [ahead, aside] = AHEAD[key](from, this.picture.corner(one));
      const cost = ahead + 3 * aside;
      if (one !== here && ahead > 2 && cost < least) [best, least] = [one, cost];
    }
    return best;
  }
}
