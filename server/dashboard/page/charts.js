// The charts over the last quarter of an hour, from overview.series. Chart.js is a script of its own
// (a global), which index.html loads before the modules.

import { clock, format } from './format.js';
import { colour } from './theme.js';

const series = (field, label, tint, { fill = false, right = false } = {}) =>
  ({ field, label, tint, fill, right });

const CHARTS = [
  { id: 'chart-traffic', kind: 'rate', stacked: true, lines: [
    series('l1_hits_per_second', 'L1 hits', '--l1', { fill: true }),
    series('l2_hits_per_second', 'L2 hits', '--l2', { fill: true }),
    series('misses_per_second', 'misses', '--miss', { fill: true }),
    series('errors_per_second', 'errors', '--bad', { fill: true })] },
  { id: 'chart-hit-rate', kind: 'percent', max: 1, lines: [series('hit_rate', 'hit rate', '--l1')] },
  { id: 'chart-latency', kind: 'ms', lines: [
    series('call_p50_ms', 'p50', '--l1'), series('call_p95_ms', 'p95', '--l2'),
    series('call_p99_ms', 'p99', '--miss')] },
  { id: 'chart-memory', kind: 'bytes', lines: [series('l1_bytes', 'L1 memory', '--l1')] },
  { id: 'chart-lag', kind: 'seconds', lines: [series('lag_seconds', 'replication lag', '--l1')] },
];

// Points of a line: [{x, y}], y null where it is not known.
export function points(times, values) {
  return (times ?? []).map((x, i) => ({ x, y: values?.[i] ?? null }));
}

function options({ kind, stacked, max }) {
  const text = { color: colour('--muted'), font: { family: 'system-ui, sans-serif', size: 11 } };
  return {
    animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true,
    interaction: { mode: 'index', intersect: false },
    elements: { point: { radius: 0 }, line: { borderWidth: 1.5 } },
    plugins: {
      legend: { align: 'start', labels: { ...text, boxWidth: 10, boxHeight: 10 } },
      tooltip: { callbacks: {
        title: (items) => clock(items[0]?.parsed.x),
        label: (item) => `${item.dataset.label}: ${format(kind, item.parsed.y)}`,
      } },
    },
    scales: {
      x: { type: 'linear', grid: { display: false },
        ticks: { color: text.color, font: text.font, maxTicksLimit: 5, maxRotation: 0,
          callback: (value) => clock(value) } },
      y: { stacked: stacked === true, beginAtZero: true, max, grid: { color: colour('--line') },
        // As wide whatever stands there: charts must not jump.
        afterFit: (scale) => { scale.width = 64; },
        ticks: { color: text.color, font: text.font, maxTicksLimit: 5,
          callback: (value) => format(kind, value) } },
    },
  };
}

function make(definition) {
  return new globalThis.Chart(document.getElementById(definition.id), {
    type: 'line',
    options: options(definition),
    data: { datasets: definition.lines.map((line) => ({
      label: line.label, data: [], fill: line.fill ? 'stack' : false,
      borderColor: colour(line.tint), backgroundColor: colour(line.tint) + (line.fill ? '55' : ''),
    })) },
  });
}

export function bindCharts() {
  let charts = [];
  let last = null;
  const draw = () => charts.forEach((chart, i) => {
    const known = last?.time_unix_ms ?? [];
    chart.options.scales.x.min = known[0];
    chart.options.scales.x.max = known[known.length - 1];
    CHARTS[i].lines.forEach((line, n) => {
      chart.data.datasets[n].data = points(known, last?.[line.field]);
    });
    chart.update('none');
  });
  return {
    update(newest) {
      last = newest;
      draw();
    },
    // Anew, with the colours that the page has now.
    recolour() {
      charts.forEach((chart) => chart.destroy());
      charts = CHARTS.map(make);
      draw();
    },
  };
}
