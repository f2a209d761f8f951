// The nodes of the region; a dead one is red.

import { badge, setAttribute, setBadge, setText } from './dom.js';
import { ago, format, UNKNOWN } from './format.js';
import { panel } from './panel.js';
import { missingNodes, nodeHealth } from './state.js';
import { table } from './table.js';

function health(cell, node) {
  if (cell.firstChild === null) cell.append(badge());
  const { word, level } = nodeHealth(node);
  setBadge(cell.firstChild, word, level);
}

function remarks(cell, node) {
  const words = [node.problem, ...(node.warnings ?? [])].filter(Boolean);
  if (node.redis && node.redis !== 'connected') words.push(`Redis: ${node.redis}`);
  if (node.breaker && node.breaker !== 'closed') words.push(`breaker: ${node.breaker}`);
  setAttribute(cell, 'class', 'remarks');
  setText(cell, words.join('; ') || UNKNOWN);
}

const figure = (title, path, kind) => ({
  title, kind, path,
  value: (node) => path.split('.').reduce((inner, name) => inner?.[name], node),
});

export function nodesPanel() {
  const update = table(document.querySelector('#nodes .table'), {
    caption: 'Nodes', key: (node) => node.id, level: (node) => nodeHealth(node).level,
    columns: [
      { title: 'node', value: (node) => node.id },
      { title: 'state', cell: health },
      { title: 'remarks', cell: remarks },
      figure('reads', 'requests_per_second', 'rate'),
      figure('hit rate', 'hit_rate', 'percent'),
      figure('call p99', 'latency.calls.p99_ms', 'ms'),
      figure('errors', 'errors_per_second', 'rate'),
      figure('L1', 'l1_bytes', 'bytes'),
      figure('of', 'l1_limit_bytes', 'limit'),
      figure('entries', 'l1_entries', 'count'),
      figure('evictions', 'evictions_per_second', 'rate'),
      figure('warm', 'warmth', 'percent'),
      figure('slots', 'owned_slots', 'count'),
      figure('epoch', 'epoch', 'number'),
      figure('memory', 'resident_bytes', 'bytes'),
      figure('CPU', 'cpu_cores', 'cores'),
      figure('up', 'uptime_seconds', 'seconds'),
      { title: 'heartbeat', cell: (cell, node) => setText(cell, typeof node.heartbeat_age_seconds === 'number'
        ? ago(0, node.heartbeat_age_seconds * 1000) : format('text', null)) },
      { title: 'version', value: (node) => node.version },
    ],
  });
  return panel('nodes', {
    source: 'overview', empty: 'No node has registered yet.',
    isEmpty: (overview) => !overview.nodes?.length,
    render: (overview) => {
      update(overview.nodes ?? []);
      const missing = missingNodes(overview.nodes ?? []);
      setText(document.getElementById('missing'), missing.length > 0 ? `${missing.join(', ')} missing;` : '');
    },
  });
}
