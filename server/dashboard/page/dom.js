// Small helpers over the DOM. Text is only ever set as text: a key of a cache may hold anything.

// el('td', { class: 'x', colspan: 2 }, 'text', child): an element.
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Sets text and attributes only where they change, so that selections and screen readers rest.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, value);
  }
}

// Makes the children of `parent` those of `items`, in their order: `make(item)` for a new key,
// `update(node, item)` for all. Nodes of keys that stay are kept, with focus and selection.
export function keyed(parent, items, { key, make, update }) {
  const kept = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  const keys = new Set(items.map(key));
  for (const [name, node] of kept) if (!keys.has(name)) node.remove();
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let node = kept.get(name);
    if (node === undefined) {
      node = make(item);
      node.dataset.key = name;
    }
    update(node, item);
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
}

// A word with a colour; the word says it, too. Levels: good, warn, bad, info.
export function badge(word = '', level = 'info') {
  return el('span', { class: `badge ${level}` }, word);
}

export function setBadge(node, word, level) {
  setText(node, word);
  setAttribute(node, 'class', `badge ${level}`);
}
