// Puts the page together: the stream of changes, the parts that show them, the keys.

import { Bars } from "./bars.js";
import { byId, h, typing } from "./dom.js";
import { Packet } from "./packet.js";
import { Panel } from "./panel.js";
import { Path } from "./path.js";
import { Picture } from "./picture.js";
import { Search } from "./search.js";
import { listen } from "./session.js";
import { Stage } from "./stage.js";
import { nextTheme, setTheme } from "./theme.js";

const NAMES = { wiring: "Wiring", veth: "Veth pairs", services: "Services", vnet: "Ranges" };
const view = { figure: "wiring", node: "" };
let stop = () => undefined;
let last = "";

const announce = (words) => { byId("said").textContent = words; };
const picture = new Picture(byId("picture"), announce);
const stage = new Stage(byId("stage"), byId("sheet"), picture, (object) => open(object));
const packet = new Packet(byId("packet"), picture, stage);
const panel = new Panel({
  open: (object) => open(object),
  mark: (objects) => {
    picture.mark("marked", objects);
    if (objects.length) stage.show(picture.find(objects[0]));
  },
  closed: () => {
    packet.hide();
    picture.mark("chosen", []);
    if (!picture.focus(picture.find(last), { preventScroll: true })) byId("stage").focus();
  },
});
const path = new Path(panel, packet, picture, () => {
  if (["services", "vnet"].includes(view.figure)) choose({ figure: "wiring" });
});
const bars = new Bars(byId("use"), (object) => open(object));
const search = new Search((object) => {
  picture.focus(picture.find(object), { preventScroll: true });
  open(object);
});

function open(object) {
  last = object;
  packet.hide();
  picture.mark("chosen", [object]);
  stage.show(picture.find(object));
  panel.open(object);
}

const heard = {
  picture(delta) {
    const first = delta.fresh;
    picture.apply(delta);
    stage.resized();
    byId("empty").hidden = picture.pieces.size > 0;
    if (first) document.documentElement.dataset.ready = delta.figure;
    if (panel.object) picture.mark("chosen", [panel.object]);
  },
  addresses: (uses) => bars.show(uses),
  things(things) {
    search.things = things;
    path.offer(things);
    nodes(things.filter((one) => one.object.startsWith("node ")).map((one) => one.name));
  },
  state(state) {
    const lab = state.lab ? `lab ${state.lab}` : "this machine";
    byId("lab").textContent = lab;
    document.title = `Podwire, ${lab}`;
    const at = new Date(state.taken * 1000).toLocaleTimeString();
    status(state.live ? "live" : "file", state.live ? `live · ${state.took.toFixed(1)} s` : `as of ${at}`);
    problem(state.problem);
    figures(state.figures);
    document.documentElement.dataset.number = state.number;
  },
};

function connect() {
  stop();
  stop = listen(view, (event, value) => heard[event]?.(value), (words) => {
    status("ended", "not connected");
    problem(words);
  });
}

function status(kind, words) {
  const element = byId("status");
  if (element.dataset.kind !== kind) element.dataset.kind = kind;
  const said = element.querySelector(".said");
  if (said.textContent !== words) said.textContent = words;
}

function problem(words) {
  const element = byId("problem");
  if (element.textContent !== words) element.textContent = words;
  element.hidden = !words;
}

function figures(names) {
  const row = byId("figures");
  if (row.children.length === names.length) return;
  row.replaceChildren(...names.map((name) => h("button", {
    role: "radio", "data-figure": name, onclick: () => choose({ figure: name }),
  }, NAMES[name] ?? name)));
  chosen();
}

function chosen() {
  for (const one of byId("figures").children) {
    const on = one.dataset.figure === view.figure;
    one.setAttribute("aria-checked", String(on));
    one.tabIndex = on ? 0 : -1;
  }
}

function nodes(names) {
  const select = byId("node");
  const have = [...select.options].slice(1).map((one) => one.value);
  if (have.join() === names.join()) return;
  select.replaceChildren(h("option", { value: "" }, "all nodes"),
    ...names.map((name) => h("option", { value: name }, name)));
  select.value = names.includes(view.node) ? view.node : "";
}

function choose(other) {
  Object.assign(view, other);
  packet.hide();
  chosen();
  connect();
}

/** The thing that has the keyboard, or is open, becomes an end of a path. */
function end(field) {
  const object = picture.pieces.get(document.activeElement?.id)?.piece.object || panel.object;
  const thing = search.things.find((one) => one.object === object);
  if (!thing?.end) return announce("that is no end of a path");
  byId(field).value = thing.end;
  announce(`${field} ${thing.end}`);
  return undefined;
}

function escape() {
  if (byId("help").open) return byId("help").close();
  return panel.close();
}

const KEYS = {
  "/": () => search.focus(),
  p: () => byId("from").focus(),
  f: () => end("from"),
  t: () => end("to"),
  n: () => panel.stepper?.by(1),
  b: () => panel.stepper?.by(-1),
  " ": () => panel.stepper?.toggle(),
  "+": () => stage.zoom(1),
  "=": () => stage.zoom(1),
  "-": () => stage.zoom(-1),
  0: () => stage.fit(),
  d: () => nextTheme(),
  "?": () => byId("help").showModal(),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  if (event.key === "Escape") return escape();
  if (typing() || byId("help").open) return;
  if (event.key === " " && document.activeElement?.matches("button, [role=button], a")) return;
  const act = KEYS[event.key];
  if (!act || (event.key === " " && !panel.stepper)) return;
  event.preventDefault();
  act();
});

byId("figures").addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
  const all = [...byId("figures").children];
  if (!step) return;
  event.preventDefault();
  const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  next.click();
  next.focus();
});
byId("node").addEventListener("change", (event) => choose({ node: event.target.value }));
byId("smaller").addEventListener("click", () => stage.zoom(-1));
byId("larger").addEventListener("click", () => stage.zoom(1));
byId("fit").addEventListener("click", () => stage.fit());
byId("theme").addEventListener("click", nextTheme);
byId("keys").addEventListener("click", () => byId("help").showModal());

setTheme();
connect();
