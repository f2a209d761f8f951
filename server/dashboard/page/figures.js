// Fills every <data data-figure="totals.hit_rate" data-format="percent"> of the page from the overview,
// every <meter data-figure=… data-max=…>, and every text [data-text=…], or what [data-else=…] says.

import { setAttribute, setText } from './dom.js';
import { at } from './state.js';
import { setFigure } from './table.js';

export function bindFigures(root) {
  const figures = [...root.querySelectorAll('data[data-figure]')];
  const texts = [...root.querySelectorAll('[data-text]')];
  const meters = [...root.querySelectorAll('meter[data-figure]')];
  return (overview) => {
    for (const node of figures) {
      setFigure(node, node.dataset.format, at(overview, node.dataset.figure));
    }
    for (const node of texts) {
      setText(node, String(at(overview, node.dataset.text) || node.dataset.else || ''));
    }
    for (const node of meters) {
      const limit = at(overview, node.dataset.max);
      setAttribute(node, 'max', limit > 0 ? limit : 1);
      setAttribute(node, 'value', limit > 0 ? at(overview, node.dataset.figure) : 0);
    }
  };
}

const PARTS = [['l1', 'L1'], ['l2', 'L2'], ['miss', 'nowhere']];

// The bar that shows the three shares of requirement 4-09: from L1, from L2, not found.
export function bindShares(node) {
  const parts = PARTS.map(([name]) => node.querySelector(`.${name}`));
  return (totals) => {
    const l1 = totals?.l1_hit_rate, l2 = totals?.l2_hit_rate;
    const known = typeof l1 === 'number' && typeof l2 === 'number';
    const shares = known ? [l1, l2, Math.max(0, 1 - l1 - l2)] : [0, 0, 0];
    parts.forEach((part, i) => { part.style.flexGrow = shares[i]; });
    setAttribute(node, 'aria-label', known
      ? 'Reads answered: ' + PARTS.map(([, word], i) => `${word} ${(shares[i] * 100).toFixed(1)} %`).join(', ')
      : 'No reads in the last minute');
  };
}
