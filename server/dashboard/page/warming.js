// Warming: who made jobs in which hour of the last day, the latest jobs, and what they brought
// against what was asked for.

import { badge, el, keyed, setAttribute, setBadge, setText } from './dom.js';
import { ago, clock, enumWord, format, parseTime } from './format.js';
import { panel } from './panel.js';
import { precision, warmingCalendar } from './state.js';
import { table } from './table.js';

const LEVELS = { done: 'good', running: 'info', queued: 'info', paused: 'warn', failed: 'bad',
  cancelled: 'warn' };
const SHOWN_JOBS = 12;

export const jobState = (job) => enumWord(job.state, 'WARM_JOB_STATE_');

// What a cell of the calendar says about its jobs: {level, text}.
export function hourOf(jobs) {
  if (jobs.length === 0) return { level: null, text: '' };
  const states = jobs.map(jobState);
  const worst = ['failed', 'cancelled', 'paused', 'running', 'queued', 'done']
    .find((state) => states.includes(state));
  return { level: LEVELS[worst] ?? 'info', text: String(jobs.length) };
}

function calendar(place, { hours, rows }) {
  if (place.firstChild === null) {
    place.append(el('div', { class: 'scroll', tabindex: 0, role: 'group',
      'aria-label': 'Warming calendar' }, el('table', { class: 'calendar' },
      el('caption', { class: 'hidden' }, 'Warm jobs by hour of the last day'),
      el('thead', {}, el('tr')), el('tbody'))));
  }
  keyed(place.querySelector('thead tr'), [null, ...hours], {
    key: (hour) => String(hour),
    make: (hour) => el('th', { scope: 'col' }, hour === null ? 'made by' : clock(hour).slice(0, 2)),
    update: () => {},
  });
  keyed(place.querySelector('tbody'), rows, {
    key: (row) => row.name,
    make: (row) => el('tr', {}, el('th', { scope: 'row' }, row.name), ...hours.map(() => el('td'))),
    update: (node, row) => row.cells.forEach((jobs, i) => {
      const { level, text } = hourOf(jobs);
      setText(node.children[i + 1], text);
      setAttribute(node.children[i + 1], 'class', level);
    }),
  });
}

function stateCell(cell, job) {
  if (cell.firstChild === null) cell.append(badge());
  setBadge(cell.firstChild, jobState(job), LEVELS[jobState(job)] ?? 'info');
}

function progressCell(cell, job) {
  if (cell.firstChild === null) cell.append(el('progress', { 'aria-label': 'Progress' }), el('span'));
  const total = job.total_keys ?? 0, done = (job.warmed_keys ?? 0) + (job.failed_keys ?? 0);
  setAttribute(cell.firstChild, 'max', Math.max(total, 1));
  setAttribute(cell.firstChild, 'value', done);
  setText(cell.lastChild, ` ${format('count', done)} of ${format('count', total)} keys` +
    (job.failed_keys > 0 ? `, ${format('count', job.failed_keys)} failed` : '') +
    (job.error ? `: ${job.error}` : ''));
}

export function warmingPanel() {
  const jobs = table(document.querySelector('#warming .jobs'), {
    caption: 'Latest warm jobs', key: (job) => job.id,
    columns: [
      { title: 'job', value: (job) => (job.name ? `${job.source}: ${job.name}` : job.source) },
      { title: 'namespace', value: (job) => job.namespace },
      { title: 'state', cell: stateCell },
      { title: 'progress', cell: progressCell },
      { title: 'queued', cell: (cell, job) =>
        setText(cell, ago(parseTime(job.create_time), Date.now())) },
    ],
  });
  const warmed = table(document.querySelector('#warming .warmed'), {
    caption: 'Predicted against actual', key: (item) => `${item.source} ${item.namespace}`,
    columns: [
      { title: 'warmed by', value: (item) => item.source },
      { title: 'namespace', value: (item) => item.namespace },
      { title: 'predicted (warmed)', kind: 'count', value: (item) => item.warmed_entries ?? 0 },
      { title: 'actual (used)', kind: 'count', value: (item) => item.used_entries ?? 0 },
      { title: 'in vain', kind: 'count', value: (item) => item.unused_entries ?? 0 },
      { title: 'pushed others out', kind: 'count', value: (item) => item.displaced_entries ?? 0 },
      { title: 'precision', kind: 'percent', value: precision },
    ],
  });
  return panel('warming', {
    source: 'warming', empty: 'Nothing was warmed yet.',
    isEmpty: (answer) => !answer.jobs?.length && !answer.warmed?.length,
    render: (answer) => {
      calendar(document.querySelector('#warming .calendar-place'),
        warmingCalendar(answer.jobs ?? [], Date.now()));
      jobs((answer.jobs ?? []).slice(0, SHOWN_JOBS));
      warmed(answer.warmed ?? []);
    },
  });
}
