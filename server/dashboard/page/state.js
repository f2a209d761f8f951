// What the page knows, and how good it is: pure functions over plain values. Times are ms since
// 1970 by the reader's clock.

import { SOURCES } from './sources.js';

// Older than this, figures are called old; without an answer for so long, the line is down.
const OLD_AFTER = 4000, DOWN_AFTER = 3000;

export function initialState(now) {
  const nothing = { data: null, at: null, error: null };
  return {
    startedAt: now,
    figuresChangedAt: null,  // When the coordinator's own time stamp last moved.
    sources: Object.fromEntries(Object.keys(SOURCES).map((name) => [name, nothing])),
  };
}

// The state after an answer of api.js. What was known stays when an answer is an error.
export function withAnswer(state, name, answer, now) {
  const before = state.sources[name];
  const source = answer.error
    ? { ...before, error: answer.error }
    : { data: answer.data, at: now, error: null };
  const moved = name === 'overview' && !answer.error &&
    answer.data?.timestamp !== before.data?.timestamp;
  return {
    ...state,
    figuresChangedAt: moved ? now : state.figuresChangedAt,
    sources: { ...state.sources, [name]: source },
  };
}

// How good the figures are: {mode, since, text}. Modes: "loading", "live", "old" (answers come, but
// their figures stand still), "refused" (an error is answered: a standby, a start), "disconnected".
export function connection(state, now) {
  const { data, at, error } = state.sources.overview;
  const since = state.figuresChangedAt;
  if (error?.code > 0 && error.reason === 'NOT_LEADER') {
    return { mode: 'refused', since, text: `This coordinator does not lead: ${error.message}` };
  }
  if (error?.code > 0) {
    return { mode: 'refused', since, text: `The coordinator answers: ${error.message || error.reason}` };
  }
  if (error && now - (at ?? state.startedAt) >= DOWN_AFTER) {
    return { mode: 'disconnected', since, text: `The coordinator cannot be reached: ${error.message}` };
  }
  if (data === null) return { mode: 'loading', since: null, text: 'Loading' };
  if (now - since > OLD_AFTER) {
    return { mode: 'old', since, text: 'The coordinator answers, but has no new figures' };
  }
  return { mode: 'live', since, text: 'Live' };
}

// What a panel shows: "loading", "error", "empty" or "ready". An error with older data stays "ready":
// the bar says that it is old.
export function panelState(source, isEmpty) {
  if (source.data === null) return source.error ? 'error' : 'loading';
  return isEmpty(source.data) ? 'empty' : 'ready';
}

// Firing alerts that `known` (a set of names with labels) does not have, and the set for the next time.
export function newAlerts(alerts, known) {
  const firing = (alerts ?? []).filter((alert) => alert.state === 'firing');
  const id = (alert) => `${alert.name} ${JSON.stringify(alert.labels ?? {})}`;
  return { fresh: firing.filter((alert) => !known.has(id(alert))), known: new Set(firing.map(id)) };
}

// How a node is: {word, level}; level "good", "warn" or "bad".
export function nodeHealth(node) {
  if (node.state === 'GONE') return { word: 'gone', level: 'bad' };
  if (!node.alive) return { word: 'dead', level: 'bad' };
  const troubled = node.problem || node.state !== 'SERVING' || node.redis === 'disconnected';
  return { word: String(node.state).toLowerCase(), level: troubled ? 'warn' : 'good' };
}

// Names of the nodes that are dead or gone: `nodes_alive` of `nodes` does not tell of those that are
// members no longer.
export function missingNodes(nodes) {
  return nodes.filter((node) => nodeHealth(node).level === 'bad').map((node) => node.id);
}

// The value at "totals.latency.l1.p99_ms"; undefined when there is no such thing.
export function at(value, path) {
  return path.split('.').reduce((inner, name) => inner?.[name], value);
}

// Regions and links of a matrix: {regions, link(from, to)}; a link that is not known is undefined.
export function regionMatrix(overview) {
  const links = overview?.links ?? [];
  const names = new Set([overview?.region, ...links.flatMap((link) => [link.from, link.to])]);
  names.delete(undefined);
  const byPair = new Map(links.map((link) => [`${link.from} ${link.to}`, link]));
  return { regions: [...names].sort(), link: (from, to) => byPair.get(`${from} ${to}`) };
}

const HOUR = 3600 * 1000;

// Warm jobs by who made them and by hour, newest hour last: {hours: [ms], rows: [{name, cells:
// [[jobs] for each hour]}]}.
export function warmingCalendar(jobs, now, hours = 24) {
  const first = Math.floor(now / HOUR) - hours + 1;
  const rows = new Map();
  for (const job of jobs) {
    const time = Date.parse(job.start_time ?? job.create_time ?? '');
    const column = Math.floor(time / HOUR) - first;
    if (!(column >= 0 && column < hours)) continue;
    const name = job.name ? `${job.source}: ${job.name}` : job.source;
    if (!rows.has(name)) rows.set(name, Array.from({ length: hours }, () => []));
    rows.get(name)[column].push(job);
  }
  return {
    hours: Array.from({ length: hours }, (_, i) => (first + i) * HOUR),
    rows: [...rows].sort().map(([name, cells]) => ({ name, cells })),
  };
}

// Share of the warmed entries that were used, of those of which it is known; null: of none.
export function precision(warmed) {
  const known = (warmed.used_entries ?? 0) + (warmed.unused_entries ?? 0);
  return known > 0 ? (warmed.used_entries ?? 0) / known : null;
}
