// Alerts: those that fire, those that are about to, and those that are over. New ones are said aloud.

import { badge, el, keyed, setAttribute, setBadge, setText } from './dom.js';
import { ago, format, parseTime } from './format.js';
import { panel } from './panel.js';
import { newAlerts } from './state.js';

const LEVELS = { critical: 'bad', warning: 'warn', info: 'info' };
const key = (alert) => `${alert.name} ${JSON.stringify(alert.labels ?? {})} ${alert.since ?? ''}`;

function make() {
  return el('li', {}, badge(), el('strong'), el('span', { class: 'summary' }),
    el('p', { class: 'words' }));
}

function update(node, alert) {
  const [severity, name, summary, words] = node.children;
  setBadge(severity, alert.severity ?? '', alert.state === 'resolved' ? 'good' : LEVELS[alert.severity]);
  setText(name, ` ${alert.name} `);
  setText(summary, alert.summary ?? '');
  const labels = Object.entries(alert.labels ?? {}).map(([label, value]) => `${label} ${value}`);
  setText(words, [alert.state, ...labels,
    `since ${ago(parseTime(alert.since), Date.now())}`,
    alert.state === 'resolved' ? `over ${ago(parseTime(alert.resolved_time), Date.now())}` : '',
    typeof alert.value === 'number' ? `measured ${format('number', alert.value)}` : '',
    alert.runbook ? `what to do: docs/runbooks/${String(alert.runbook).replace(/^.*\//, '')}` : '',
  ].filter(Boolean).join(' · '));
  setAttribute(node, 'class', alert.state);
}

export function alertsPanel() {
  const section = document.getElementById('alerts');
  const spoken = document.getElementById('spoken');
  const now = section.querySelector('.now'), over = section.querySelector('.over');
  let known = new Set();
  return panel('alerts', {
    source: 'alerts', empty: 'No alerts.',
    isEmpty: (answer) => !answer.alerts?.some((alert) => alert.state !== 'resolved'),
    render: (answer) => {
      const alerts = answer.alerts ?? [];
      const ended = alerts.filter((alert) => alert.state === 'resolved');
      keyed(now, alerts.filter((alert) => alert.state !== 'resolved'), { key, make, update });
      keyed(over, ended, { key, make, update });
      setText(section.querySelector('summary'), `${ended.length} that are over`);
      const news = newAlerts(alerts, known);
      known = news.known;
      if (news.fresh.length > 0) {
        setText(spoken, news.fresh.map((alert) =>
          `${alert.severity} alert: ${alert.summary || alert.name}`).join('. '));
      }
    },
  });
}
