// Recommendations: what would make the cache better, why, and the command that does it.

import { badge, el, keyed, setBadge, setText } from './dom.js';
import { panel } from './panel.js';

const LEVELS = { critical: 'bad', warning: 'warn', info: 'info' };

// Copies the text of `code`; where the browser refuses, selects it so that Ctrl+C does.
async function copy(code, button) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    setText(button, 'Copied');
  } catch {
    getSelection().selectAllChildren(code);
    setText(button, 'Press Ctrl+C');
  }
  setTimeout(() => setText(button, 'Copy'), 2000);
}

function make() {
  const code = el('code', { tabindex: 0 });
  const button = el('button', { type: 'button' }, 'Copy');
  button.addEventListener('click', () => copy(code, button));
  return el('li', {}, badge(), el('strong'), el('p', { class: 'summary' }), el('dl'),
    el('p', { class: 'gain' }), el('div', { class: 'command' }, code, button));
}

function update(node, item) {
  const [severity, title, summary, evidence, gain, command] = node.children;
  setBadge(severity, item.severity, LEVELS[item.severity] ?? 'info');
  setText(title, ` ${item.namespace || item.node || 'region'} `);
  setText(summary, item.summary ?? '');
  keyed(evidence, Object.entries(item.evidence ?? {}), {
    key: ([name]) => name,
    make: ([name]) => el('div', {}, el('dt', {}, name), el('dd')),
    update: (row, [, value]) => setText(row.lastChild, String(value)),
  });
  setText(gain, item.gain ? `To expect: ${item.gain}` : '');
  setText(command.firstChild, item.command ?? '');
  command.hidden = !item.command;
}

export function recommendationsPanel() {
  const list = document.querySelector('#recommendations .list');
  return panel('recommendations', {
    source: 'recommendations', empty: 'Nothing to recommend.',
    isEmpty: (answer) => !answer.recommendations?.length,
    render: (answer) => keyed(list, answer.recommendations ?? [], {
      key: (item) => `${item.name} ${item.namespace ?? ''} ${item.node ?? ''}`, make, update }),
  });
}
