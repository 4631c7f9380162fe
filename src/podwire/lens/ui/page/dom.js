// Making elements without markup: text stays text, whatever is in it.

/** An element with attributes ("on…" are listeners, false and null leave one out) and children. */
export function h(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((one) => one !== null && one !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Whether a key typed now is text. */
export function typing() {
  const at = document.activeElement;
  return !!at && (at.matches("input, textarea, select") || at.isContentEditable);
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
