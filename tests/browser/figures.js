// What stands on the page, read as a person reads it: a number and a unit.

import assert from 'node:assert/strict';

// Units by what they are in the JSON's unit of the same figure.
const UNITS = { '': 1, k: 1e3, M: 1e6, G: 1e9, T: 1e12, '/s': 1, 'k/s': 1e3, 'M/s': 1e6, '%': 0.01,
  B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40, cores: 1 };
const TIMES = { 'µs': 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86400 };

// The number that a text such as "12.3 k/s" stands for; `path` tells whether times are in ms.
export function readFigure(text, path) {
  if (text === '–') return null;
  if (text === 'no known limit') return 0;
  const [, digits, unit] = /^([-+0-9.,]+) ?(\S*)$/.exec(text) ?? [];
  const factor = unit in TIMES ? TIMES[unit] * (path.endsWith('_ms') ? 1000 : 1) : UNITS[unit];
  if (factor === undefined) throw new Error(`${path}: "${text}" has no unit that is known`);
  return Number(digits.replaceAll(',', '')) * factor;
}

// Whether `text` says `value`: in three digits, and percents in tenths.
export function says(text, value, path) {
  const read = readFigure(text, path);
  if (value === null || value === undefined) return read === null;
  if (path === 'totals.l2_used_bytes' && value === 0) return read === null;  // 0: not known.
  if (read === null) return false;
  const close = text.endsWith('%') ? 0.000501 : Math.abs(value) * 0.00501 + 1e-9;
  return Math.abs(read - value) <= close;
}

export const at = (value, path) => path.split('.').reduce((inner, name) => inner?.[name], value);

// Everything on the page at one moment: {time, figures: [{path, value, text}], rows: [{table, key, path,
// value, text}]}.
export function readPage(page) {
  return page.evaluate(() => ({
    time: document.getElementById('time').getAttribute('datetime'),
    figures: [...document.querySelectorAll('data[data-figure]')].map((node) =>
      ({ path: node.dataset.figure, value: node.getAttribute('value'), text: node.textContent })),
    rows: ['nodes', 'namespaces', 'latency'].flatMap((table) =>
      [...document.querySelectorAll(`#${table} tbody data`)].map((node) => ({
        table, key: node.closest('tr').dataset.key, path: node.dataset.column,
        title: node.closest('table').rows[0].cells[node.parentElement.cellIndex].textContent,
        value: node.getAttribute('value'), text: node.textContent }))),
  }));
}

// Which figure a column must show, by what is written above it.
const TITLES = { reads: 'requests_per_second', 'hit rate': /^hit_rate$/, 'from L1': 'l1_hit_rate',
  'hit rate, 5 min': 'judged.hit_rate', 'L1 p95, 5 min': 'judged.l1_p95_ms', 'L1 p99': 'latency.l1.p99_ms',
  'L2 p95, 5 min': 'judged.l2_p95_ms', 'L2 p99': 'latency.l2.p99_ms',
  'from L2': 'l2_hit_rate', errors: /^errors/, L1: 'l1_bytes', entries: 'l1_entries', slots: 'owned_slots',
  hits: 'hits', misses: 'misses', p50: 'figures.p50_ms', p95: 'figures.p95_ms', p99: 'figures.p99_ms',
  average: 'figures.average_ms', epoch: 'epoch', up: 'uptime_seconds', writes: 'sets' };

// What differs between a page that was read and an overview; [] when nothing does.
export function differences(read, overview) {
  const wrong = [];
  const compare = (where, path, value, text, expected) => {
    const raw = typeof expected === 'number' ? String(expected) : '';
    if (value !== raw || !says(text, expected, path)) {
      wrong.push(`${where}${path}: "${text}" (${value}), and the JSON says ${expected}`);
    }
  };
  for (const { path, value, text } of read.figures) {
    compare('', path, value, text, at(overview, path));
  }
  for (const { table, key, path, title, value, text } of read.rows) {
    if (title in TITLES && !path.match(TITLES[title])) wrong.push(`${table}: ${title} shows ${path}`);
    const item = {
      nodes: () => overview.nodes.find((node) => node.id === key),
      namespaces: () => overview.namespaces.find((one) => one.namespace === key),
      latency: () => ({ figures: overview.totals.latency[key] }),
    }[table]();
    compare(`${table} ${key} `, path, value, text, at(item, path));
  }
  return wrong;
}

// Reads the page until it shows an overview that was seen on its way, and fails where it differs from it.
export async function readChecked({ page, overviews }) {
  for (let i = 0; i < 20; ++i) {
    const read = await readPage(page);
    const known = overviews.get(read.time);
    if (known) {
      const best = known.map((overview) => differences(read, overview)).sort((a, b) => a.length - b.length)[0];
      assert.deepEqual(best, []);
      return read;
    }
    await new Promise((done) => { setTimeout(done, 100); });
  }
  throw new Error('the page shows no overview that it was told');
}

const SAMPLE = /^(\w+)(?:\{(.*)\})? (\S+)/;

// Sum over all samples of `name` whose labels contain each of `labels`, in Prometheus text.
export function metricSum(text, name, ...labels) {
  return text.split('\n').map((line) => SAMPLE.exec(line))
    .filter((match) => match?.[1] === name && labels.every((label) => (match[2] ?? '').includes(label)))
    .reduce((sum, match) => sum + Number(match[3]), 0);
}
