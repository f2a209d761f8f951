// Warming: who made jobs in which hour of the last day, the latest jobs, what they brought against
// what was asked for, when schedules run next, and what each source may read.

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

// How far a job is: keys that nobody has are done, too.
export function progressOf(job) {
  const total = job.total_keys ?? 0, absent = job.absent_keys ?? 0, failed = job.failed_keys ?? 0;
  const unkept = job.unkept_keys ?? 0;
  const done = (job.warmed_keys ?? 0) + unkept + absent + failed;
  return { done, total, text: `${format('count', done)} of ${format('count', total)} keys` +
    (unkept > 0 ? `, ${format('count', unkept)} not kept` : '') +
    (absent > 0 ? `, ${format('count', absent)} absent` : '') +
    (failed > 0 ? `, ${format('count', failed)} failed` : '') +
    (job.error ? `: ${job.error}` : '') };
}

function progressCell(cell, job) {
  if (cell.firstChild === null) cell.append(el('progress', { 'aria-label': 'Progress' }), el('span'));
  const { done, total, text } = progressOf(job);
  setAttribute(cell.firstChild, 'max', Math.max(total, 1));
  setAttribute(cell.firstChild, 'value', done);
  setText(cell.lastChild, ` ${text}`);
}

// The budgets that are in force, in a sentence, and why newer ones are not.
export function budgetsText(budgets, problem) {
  if (!budgets) return '';
  const list = (rates) => Object.entries(rates ?? {})
    .map(([name, rate]) => `${name} ${format('rate', rate)}`).join(', ');
  const namespaces = list(budgets.namespaces), origins = list(budgets.origins);
  return `Keys a second at most: ${format('rate', budgets.default_keys_per_second)} a namespace` +
    (namespaces ? `, but ${namespaces}` : '') + (origins ? `; of origins ${origins}` : '') + '.' +
    (problem ? ` Newer settings cannot be read: ${problem}` : '');
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
  const schedules = table(document.querySelector('#warming .schedules'), {
    caption: 'Schedules', key: (item) => item.name,
    columns: [
      { title: 'schedule', value: (item) => item.name },
      { title: 'namespace', value: (item) => item.namespace },
      { title: 'time table', value: (item) => `${item.cron} ${item.time_zone}` },
      { title: 'next run', cell: (cell, item) => setText(cell, item.next_run ?? 'never') },
      { title: 'keys', kind: 'count', value: (item) => item.keys },
      { title: 'which', value: (item) => (item.hot_keys ? 'the hottest' : 'by name') },
      { title: 'missed runs', value: (item) => item.missed },
    ],
  });
  const sources = table(document.querySelector('#warming .sources'), {
    caption: 'Budgets', key: (item) => `${item.source} ${item.namespace}`,
    columns: [
      { title: 'source', value: (item) => item.source },
      { title: 'namespace', value: (item) => item.namespace },
      { title: 'may read', kind: 'rate', value: (item) => item.budget },
      { title: 'precision of late', kind: 'percent', value: (item) => item.precision ?? null },
      { title: 'net benefit', kind: 'number', value: (item) => item.net_benefit },
      { title: 'refused keys', kind: 'count', value: (item) => item.refused_keys ?? 0 },
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
    isEmpty: (answer) => !answer.jobs?.length && !answer.warmed?.length && !answer.schedules?.length,
    render: (answer) => {
      calendar(document.querySelector('#warming .calendar-place'),
        warmingCalendar(answer.jobs ?? [], Date.now()));
      jobs((answer.jobs ?? []).slice(0, SHOWN_JOBS));
      warmed(answer.warmed ?? []);
      schedules(answer.schedules ?? []);
      sources(answer.sources ?? []);
      setText(document.querySelector('#warming .budgets'),
        budgetsText(answer.budgets, answer.settings_problem));
    },
  });
}
