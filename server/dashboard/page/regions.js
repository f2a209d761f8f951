// Replication: from each region that is known here to each other one, with its lag.

import { el, setAttribute, setText } from './dom.js';
import { format, UNKNOWN } from './format.js';
import { panel } from './panel.js';
import { regionMatrix } from './state.js';
import { setFigure } from './table.js';

const LEVELS = { streaming: 'good', catching_up: 'warn', repairing: 'warn' };

function emptyCell(place) {
  place.replaceChildren(el('data'), el('span', { class: 'words' }));
}

function fill(cell, link, isSelf) {
  if (cell.firstChild === null) emptyCell(cell);
  const [lag, words] = cell.children;
  if (!link) {
    setText(lag, isSelf ? '' : UNKNOWN);
    setText(words, isSelf ? '' : 'ask a coordinator of that region');
    setAttribute(cell, 'class', isSelf ? 'self' : 'unknown');
    return;
  }
  setFigure(lag, 'seconds', link.lag_seconds);
  setText(words, [String(link.state).replaceAll('_', ' '),
    link.backlog > 0 ? `${format('count', link.backlog)} wait` : '',
    link.repairing_slots > 0 ? `${link.repairing_slots} slots are compared` : '',
    link.problem].filter(Boolean).join(', '));
  setAttribute(cell, 'class', LEVELS[link.state] ?? 'bad');
}

export function regionsPanel() {
  const place = document.querySelector('#regions .table');
  let shown = '';
  const build = (regions) => {
    const head = el('tr', {}, el('th', { scope: 'col' }, 'from ↓  to →'),
      ...regions.map((name) => el('th', { scope: 'col' }, name)));
    const rows = regions.map((from) => el('tr', {}, el('th', { scope: 'row' }, from),
      ...regions.map((to) => el('td', { 'data-link': `${from} ${to}` }))));
    place.replaceChildren(el('div', { class: 'scroll', tabindex: 0, role: 'group',
      'aria-label': 'Replication between regions' }, el('table', { class: 'matrix' },
      el('caption', { class: 'hidden' }, 'Replication lag between regions'),
      el('thead', {}, head), el('tbody', {}, ...rows))));
  };
  return panel('regions', {
    source: 'overview', empty: 'This region has no other one to replicate to.',
    isEmpty: (overview) => !overview.links?.length,
    render: (overview) => {
      const { regions, link } = regionMatrix(overview);
      if (regions.join(' ') !== shown) build(regions);
      shown = regions.join(' ');
      for (const cell of place.querySelectorAll('td')) {
        const [from, to] = cell.dataset.link.split(' ');
        fill(cell, link(from, to), from === to);
      }
    },
  });
}
