// A table of items that are told again and again.
//
// A column is {title, kind, value(item), path?}: `kind` is a format of format.js; numbers stand in a
// <data> element with their whole value. {title, cell(td, item)} fills its cell itself.

import { el, keyed, setAttribute, setText } from './dom.js';
import { format } from './format.js';

// A number as <data value="0.8421">84.2 %</data>.
export function setFigure(node, kind, value) {
  setText(node, format(kind, value));
  setAttribute(node, 'value', typeof value === 'number' ? value : '');
}

function fill(cell, column, item) {
  if (column.cell) {
    column.cell(cell, item);
    return;
  }
  const value = column.value(item);
  if (column.kind === undefined || column.kind === 'text') {
    setText(cell, format('text', value));
    return;
  }
  if (cell.firstChild === null) cell.append(el('data', { 'data-column': column.path }));
  setFigure(cell.firstChild, column.kind, value);
}

// Builds the table into `place`, an element of the page; returns its update(items).
export function table(place, { caption, columns, key, level = () => null }) {
  const body = el('tbody');
  const titles = columns.map((column) =>
    el('th', { scope: 'col', class: column.kind && column.kind !== 'text' ? 'number' : null },
      column.title));
  // Wide tables scroll by themselves, also with the keyboard.
  place.replaceChildren(el('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': caption },
    el('table', {}, el('caption', { class: 'hidden' }, caption),
      el('thead', {}, el('tr', {}, ...titles)), body)));
  const make = () => el('tr', {}, ...columns.map((column, i) =>
    el(i === 0 ? 'th' : 'td', i === 0 ? { scope: 'row' }
      : { class: column.kind && column.kind !== 'text' ? 'number' : null })));
  const update = (row, item) => {
    setAttribute(row, 'class', level(item));
    columns.forEach((column, i) => fill(row.children[i], column, item));
  };
  return (items) => keyed(body, items, { key, make, update });
}
