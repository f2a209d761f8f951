// What the page thinks of what it was told: fresh, old, refused, away.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { points } from '../../server/dashboard/page/charts.js';
import { goalState } from '../../server/dashboard/page/namespaces.js';
import { reading, rolloutState } from '../../server/dashboard/page/rollouts.js';
import { poll } from '../../server/dashboard/page/sources.js';
import { at, connection, initialState, missingNodes, newAlerts, nodeHealth, panelState, precision,
  regionMatrix, warmingCalendar, withAnswer } from '../../server/dashboard/page/state.js';
import { budgetsText, hourOf, progressOf } from '../../server/dashboard/page/warming.js';

const DOWN = { error: { code: 0, reason: 'UNREACHABLE', message: 'nobody answers' } };
const figures = (second) => ({ data: { timestamp: `2026-11-22T08:00:0${second}Z`, nodes: [] } });

// The state after answers for the overview: [at, answer].
const after = (...answers) => answers.reduce(
  (state, [now, answer]) => withAnswer(state, 'overview', answer, now), initialState(0));

test('before the first answer the page loads, and says so when none comes', () => {
  assert.equal(connection(initialState(0), 500).mode, 'loading');
  assert.equal(connection(after([100, DOWN]), 500).mode, 'loading');
  assert.equal(connection(after([100, DOWN]), 3000).mode, 'disconnected');
});

test('figures that move are live', () => {
  const state = after([1000, figures(1)], [2000, figures(2)]);
  assert.deepEqual(connection(state, 2500), { mode: 'live', since: 2000, text: 'Live' });
});

test('one lost answer is no disconnection; three seconds are, since the last figures', () => {
  const state = after([1000, figures(1)], [2000, DOWN]);
  assert.equal(connection(state, 3900).mode, 'live');
  const down = connection(state, 4000);
  assert.equal(down.mode, 'disconnected');
  assert.equal(down.since, 1000);
  assert.match(down.text, /nobody answers/);
});

test('answers whose figures stand still are old', () => {
  const state = after([1000, figures(1)], [2000, figures(1)], [6000, figures(1)]);
  assert.equal(connection(state, 6000).mode, 'old');
  assert.equal(connection(state, 6000).since, 1000);
});

test('a standby and a coordinator that starts say what they are', () => {
  const standby = { error: { code: 503, reason: 'NOT_LEADER', message: '127.0.0.1:7410 leads' } };
  assert.equal(connection(after([1000, standby]), 1000).mode, 'refused');
  assert.match(connection(after([1000, standby]), 1000).text, /does not lead: 127.0.0.1:7410/);
  const start = { error: { code: 503, reason: 'NOT_READY', message: '' } };
  assert.match(connection(after([1000, start]), 1000).text, /NOT_READY/);
});

test('an error keeps what was known, an answer ends the error', () => {
  const state = after([1000, figures(1)], [2000, DOWN]);
  assert.equal(state.sources.overview.data.timestamp, '2026-11-22T08:00:01Z');
  assert.equal(after([1000, DOWN], [2000, figures(1)]).sources.overview.error, null);
});

test('a panel loads, fails, is empty or is ready', () => {
  const isEmpty = (data) => data.length === 0;
  assert.equal(panelState({ data: null, error: null }, isEmpty), 'loading');
  assert.equal(panelState({ data: null, error: DOWN.error }, isEmpty), 'error');
  assert.equal(panelState({ data: [], error: null }, isEmpty), 'empty');
  assert.equal(panelState({ data: [1], error: DOWN.error }, isEmpty), 'ready');
});

test('a node that is gone or does not answer is bad, one in trouble a warning', () => {
  const node = { state: 'SERVING', alive: true, redis: 'connected', problem: '' };
  assert.deepEqual(nodeHealth(node), { word: 'serving', level: 'good' });
  assert.deepEqual(nodeHealth({ ...node, alive: false }), { word: 'dead', level: 'bad' });
  assert.deepEqual(nodeHealth({ ...node, alive: false, state: 'GONE' }), { word: 'gone', level: 'bad' });
  assert.equal(nodeHealth({ ...node, state: 'DRAINING' }).level, 'warn');
  assert.equal(nodeHealth({ ...node, redis: 'disconnected' }).level, 'warn');
  assert.equal(nodeHealth({ ...node, problem: 'late' }).level, 'warn');
  assert.deepEqual(missingNodes([{ ...node, id: 'a' }, { ...node, id: 'b', alive: false, state: 'GONE' },
    { ...node, id: 'c', problem: 'late' }]), ['b']);
});

test('an alert is said once, and again when it comes back', () => {
  const alert = { name: 'MeridianNodeDown', state: 'firing', labels: { node: 'us-1' } };
  const first = newAlerts([alert, { ...alert, state: 'pending', labels: {} }], new Set());
  assert.deepEqual(first.fresh, [alert]);
  assert.deepEqual(newAlerts([alert], first.known).fresh, []);
  const over = newAlerts([{ ...alert, state: 'resolved' }], first.known);
  assert.deepEqual(newAlerts([alert], over.known).fresh, [alert]);
});

test('the matrix has every region that is named, and only known links', () => {
  const link = { from: 'us', to: 'eu', lag_seconds: 0.05 };
  const matrix = regionMatrix({ region: 'us', links: [link, { from: 'us', to: 'asia' }] });
  assert.deepEqual(matrix.regions, ['asia', 'eu', 'us']);
  assert.equal(matrix.link('us', 'eu'), link);
  assert.equal(matrix.link('eu', 'us'), undefined);
  assert.deepEqual(regionMatrix(undefined).regions, []);
});

test('the calendar puts jobs into their hour, and leaves out what is older than a day', () => {
  const now = Date.parse('2026-11-22T08:30:00Z');
  const job = (time, name) => ({ source: 'schedule', name, create_time: time });
  const { hours, rows } = warmingCalendar([job('2026-11-22T08:01:00Z', 'morning'),
    job('2026-11-22T08:29:00Z', 'morning'), job('2026-11-21T09:00:00Z', 'evening'),
    job('2026-11-21T08:59:00Z', 'old'), job('nonsense', 'x'), job('2026-11-22T09:00:00Z', 'ahead')], now);
  assert.equal(hours.length, 24);
  assert.equal(hours[23], Date.parse('2026-11-22T08:00:00Z'));
  assert.deepEqual(rows.map((row) => row.name), ['schedule: evening', 'schedule: morning']);
  assert.equal(rows[1].cells[23].length, 2);
  assert.equal(rows[0].cells[0].length, 1);
});

test('the worst job of an hour gives it its colour', () => {
  const job = (state) => ({ state: `WARM_JOB_STATE_${state}` });
  assert.deepEqual(hourOf([job('DONE'), job('FAILED')]), { level: 'bad', text: '2' });
  assert.deepEqual(hourOf([job('DONE')]), { level: 'good', text: '1' });
  assert.deepEqual(hourOf([]), { level: null, text: '' });
});

test('a job is done when its last key is, whatever became of them', () => {
  const job = { total_keys: 10, warmed_keys: 6, absent_keys: 3, failed_keys: 1 };
  assert.deepEqual(progressOf(job), { done: 10, total: 10, text: '10 of 10 keys, 3 absent, 1 failed' });
  const unkept = { total_keys: 10, warmed_keys: 6, unkept_keys: 2 };
  assert.deepEqual(progressOf(unkept), { done: 8, total: 10, text: '8 of 10 keys, 2 not kept' });
  assert.deepEqual(progressOf({ total_keys: 10, warmed_keys: 6 }), { done: 6, total: 10, text: '6 of 10 keys' });
});

test('budgets in a sentence', () => {
  assert.equal(budgetsText({ default_keys_per_second: 1000, namespaces: {}, origins: {} }),
    'Keys a second at most: 1,000/s a namespace.');
  assert.equal(budgetsText({ default_keys_per_second: 5, namespaces: { task: 200 }, origins: { users: 0.5 } }),
    'Keys a second at most: 5/s a namespace, but task 200/s; of origins users 0.5/s.');
  assert.equal(budgetsText({ default_keys_per_second: 5 }, 'w.yaml:3: rules: must be a map'),
    'Keys a second at most: 5/s a namespace. Newer settings cannot be read: w.yaml:3: rules: must be a map');
  assert.equal(budgetsText(undefined), '');
});

test('precision is of what is known, and of nothing it is not known', () => {
  assert.equal(precision({ used_entries: 3, unused_entries: 1, warmed_entries: 10 }), 0.75);
  assert.equal(precision({ warmed_entries: 10 }), null);
});

test('rollouts and their guards in words', () => {
  assert.equal(rolloutState({ state: 'ROLLOUT_STATE_ROLLED_BACK' }), 'rolled back');
  assert.equal(reading({ guard: 'hit_rate', namespace: 'task', trial: 0.81, limit: 0.78, sure: true }),
    'hit rate of task: 81.0 %, at least 78.0 %');
  assert.equal(reading({ guard: 'p99', namespace: 'task', trial: 0.002, limit: 0.004 }),
    'p99 of task: 2 ms, at most 4 ms (too few reads to say)');
});

test('paths and points', () => {
  assert.equal(at({ totals: { latency: { l1: { p99_ms: 5 } } } }, 'totals.latency.l1.p99_ms'), 5);
  assert.equal(at(undefined, 'totals.hits'), undefined);
  assert.deepEqual(points([1, 2], [5]), [{ x: 1, y: 5 }, { x: 2, y: null }]);
  assert.deepEqual(points(undefined, undefined), []);
});

test('every source is asked, and none while the page is not seen', async () => {
  const asked = [], told = [], waiting = [];
  let resting = false;
  const poller = poll({
    ask: async (path) => { asked.push(path); return { data: path }; },
    tell: (name, answer) => told.push([name, answer.data]),
    resting: () => resting,
    later: (run, every, name) => waiting.push(name),
    sources: { a: { path: '/a' }, b: { path: '/b' } },
  });
  const settle = () => new Promise((done) => { setImmediate(done); });
  await settle();
  assert.deepEqual([asked, told, waiting.sort()],
    [['/a', '/b'], [['a', '/a'], ['b', '/b']], ['a', 'b']]);

  resting = true;
  poller.hurry();
  await settle();
  assert.deepEqual([asked.length, told.length], [2, 2]);
  assert.equal(waiting.length, 4);  // It goes on when the page is seen again.
});

test('an answer that cannot be shown is not the last one of its source', async (t) => {
  t.mock.method(console, 'error', () => {});
  let told = 0;
  await new Promise((resolve) => {
    poll({
      ask: async () => ({ data: {} }),
      tell: () => {
        told += 1;
        if (told === 1) throw new Error('not to be shown');
        resolve();
      },
      resting: () => false,
      sources: { one: { path: '/one', every: 1 } },
      later: (run, every, name) => (told < 2 ? setTimeout(run, every, name) : null),
    });
  });
  assert.equal(console.error.mock.callCount(), 1);
});

test('1-01, 2-13: a goal is said in words beside what it is compared with', () => {
  assert.deepEqual(goalState('percent', 0.95, 'reached'), { text: '95.0 % reached', level: 'good' });
  assert.deepEqual(goalState('percent', 0.95, 'missed'), { text: '95.0 % missed', level: 'warn' });
  assert.deepEqual(goalState('ms', 5, 'missed'), { text: '5 ms missed', level: 'warn' });
  assert.deepEqual(goalState('ms', 5, 'too_few_reads'), { text: '5 ms: too few reads', level: 'info' });
  assert.deepEqual(goalState('percent', null, 'no_goal'), { text: 'none', level: 'info' });
  assert.deepEqual(goalState('percent', 0.95, 'of another release'), { text: '95.0 %', level: 'info' });
});
