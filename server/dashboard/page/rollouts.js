// Policies: rollouts of versions, running ones first, with what their guards see.

import { badge, el, keyed, setAttribute, setBadge, setText } from './dom.js';
import { ago, enumWord, format, parseTime } from './format.js';
import { panel } from './panel.js';

const LEVELS = { running: 'info', done: 'good', 'rolled back': 'bad' };

export const rolloutState = (rollout) => enumWord(rollout.state, 'ROLLOUT_STATE_');

// "hit_rate of task: 81.0 %, at least 78.0 %".
export function reading(guard) {
  const kind = guard.guard === 'p99' ? 'seconds' : 'percent';
  const bound = guard.guard === 'hit_rate' ? 'at least' : 'at most';
  return `${String(guard.guard).replaceAll('_', ' ')} of ${guard.namespace}: ` +
    `${format(kind, guard.trial ?? 0)}, ${bound} ${format(kind, guard.limit ?? 0)}` +
    (guard.sure ? '' : ' (too few reads to say)');
}

function make() {
  return el('li', {}, el('h3'), badge(), el('progress', { max: 100, 'aria-label': 'Share of the slots' }),
    el('span', { class: 'share' }), el('p', { class: 'words' }), el('ul', { class: 'readings' }));
}

function update(node, rollout) {
  const [title, state, bar, share, words, readings] = node.children;
  setText(title, `Version ${rollout.policy_version}`);
  setBadge(state, rolloutState(rollout), LEVELS[rolloutState(rollout)] ?? 'info');
  setAttribute(bar, 'value', rollout.percent ?? 0);
  setText(share, ` ${rollout.percent ?? 0} % of the slots`);
  setText(words, [rollout.comment, rollout.reason,
    rollout.base_version ? `replaces version ${rollout.base_version}` : 'replaces the nodes’ own files',
    `begun ${ago(parseTime(rollout.create_time), Date.now())}`,
    ...Object.entries(rollout.behind ?? {}).map(([name, why]) => `${name} is behind: ${why}`),
  ].filter(Boolean).join('; '));
  const shown = rolloutState(rollout) === 'running' ? rollout.readings ?? [] : [];
  keyed(readings, shown, {
    key: (guard) => `${guard.guard} ${guard.namespace}`,
    make: () => el('li'),
    update: (item, guard) => {
      setText(item, reading(guard));
      setAttribute(item, 'class', guard.breached ? 'bad' : null);
    },
  });
}

export function rolloutsPanel() {
  const list = document.querySelector('#rollouts .list');
  return panel('rollouts', {
    source: 'rollouts', empty: 'No policy was rolled out: the nodes use their own files.',
    isEmpty: (answer) => !answer.rollouts?.length,
    render: (answer) => keyed(list, answer.rollouts ?? [],
      { key: (rollout) => String(rollout.policy_version), make, update }),
  });
}
