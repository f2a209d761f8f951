// Data types and tiers: hit rates, latencies, memory.

import { badge, setBadge } from './dom.js';
import { formats } from './format.js';
import { panel } from './panel.js';
import { at } from './state.js';
import { table } from './table.js';

const figure = (title, path, kind) => ({ title, kind, path, value: (item) => at(item, path) });

const VERDICTS = { reached: [' reached', 'good'], missed: [' missed', 'warn'],
  too_few_reads: [': too few reads', 'info'] };

// A goal, and what the coordinator says of it, as its alerts do: {text, level}.
export function goalState(kind, goal, verdict) {
  if (typeof goal !== 'number') return { text: 'none', level: 'info' };
  const [words, level] = VERDICTS[verdict] ?? ['', 'info'];
  return { text: formats[kind](goal) + words, level };
}

// What a goal is compared with, and the goal with whether it is reached.
const judged = (title, name, kind) => [figure(title, `judged.${name}`, kind), {
  title: 'its goal',
  cell: (td, item) => {
    if (td.firstChild === null) td.append(badge());
    const { text, level } = goalState(kind, item.goals?.[name], item.verdicts?.[name]);
    setBadge(td.firstChild, text, level);
  },
}];

export function namespacesPanel() {
  const update = table(document.querySelector('#namespaces .table'), {
    caption: 'Data types', key: (item) => item.namespace,
    columns: [
      { title: 'namespace', value: (item) => item.namespace },
      figure('reads', 'requests_per_second', 'rate'),
      figure('hit rate', 'hit_rate', 'percent'),
      ...judged('hit rate, 5 min', 'hit_rate', 'percent'),
      figure('errors', 'errors_per_second', 'rate'),
      figure('reads that fail', 'read_error_rate', 'percent'),
      figure('from L1', 'l1_hit_rate', 'percent'),
      figure('from L2', 'l2_hit_rate', 'percent'),
      figure('hits', 'hits', 'count'),
      figure('misses', 'misses', 'count'),
      figure('errors so far', 'errors', 'count'),
      ...judged('L1 p95, 5 min', 'l1_p95_ms', 'ms'),
      figure('L1 p99', 'latency.l1.p99_ms', 'ms'),
      ...judged('L2 p95, 5 min', 'l2_p95_ms', 'ms'),
      figure('L2 p99', 'latency.l2.p99_ms', 'ms'),
      figure('miss p99', 'latency.miss.p99_ms', 'ms'),
      figure('entries', 'l1_entries', 'count'),
      figure('memory', 'l1_bytes', 'bytes'),
      figure('evictions', 'evictions_per_second', 'rate'),
      figure('writes', 'sets', 'count'),
      figure('invalidations', 'invalidations', 'count'),
      figure('saved by compression', 'compression_saved_bytes', 'bytes'),
      figure('its CPU time', 'compression_cpu_seconds', 'seconds'),
      { title: 'policy version', value: (item) => (item.policy_versions ?? []).join(', ') },
    ],
  });
  return panel('namespaces', {
    source: 'overview', empty: 'Nothing was read or written yet.',
    isEmpty: (overview) => !overview.namespaces?.length,
    render: (overview) => update(overview.namespaces ?? []),
  });
}

const TIERS = [['l1', 'hit in L1'], ['l2', 'hit in L2'], ['miss', 'miss, origin included'],
  ['calls', 'a whole call']];

export function latencyPanel() {
  const update = table(document.querySelector('#latency .table'), {
    caption: 'Latency by tier', key: (tier) => tier.name,
    columns: [
      { title: 'answered by', value: (tier) => tier.title },
      figure('average', 'figures.average_ms', 'ms'),
      figure('p50', 'figures.p50_ms', 'ms'),
      figure('p95', 'figures.p95_ms', 'ms'),
      figure('p99', 'figures.p99_ms', 'ms'),
    ],
  });
  return panel('latency', {
    source: 'overview', empty: '',
    render: (overview) => update(TIERS.map(([name, title]) =>
      ({ name, title, figures: overview.totals?.latency?.[name] }))),
  });
}
