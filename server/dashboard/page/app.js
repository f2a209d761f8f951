// The page: asks, keeps what it was told, and has every part show it.

import { alertsPanel } from './alerts.js';
import { ask } from './api.js';
import { bindCharts } from './charts.js';
import { setAttribute, setText } from './dom.js';
import { bindFigures, bindShares } from './figures.js';
import { ago, clock } from './format.js';
import { hotKeysPanel } from './hot_keys.js';
import { latencyPanel, namespacesPanel } from './namespaces.js';
import { nodesPanel } from './nodes.js';
import { recommendationsPanel } from './recommendations.js';
import { regionsPanel } from './regions.js';
import { ringPanel } from './ring.js';
import { rolloutsPanel } from './rollouts.js';
import { poll } from './sources.js';
import { connection, initialState, withAnswer } from './state.js';
import { bindTheme } from './theme.js';
import { warmingPanel } from './warming.js';

const PANELS = {
  overview: [latencyPanel(), nodesPanel(), namespacesPanel(), regionsPanel()],
  alerts: [alertsPanel()],
  ring: [ringPanel()],
  hotkeys: [hotKeysPanel()],
  warming: [warmingPanel()],
  rollouts: [rolloutsPanel()],
  recommendations: [recommendationsPanel()],
};

const charts = bindCharts();
const figures = bindFigures(document);
const shares = bindShares(document.getElementById('shares'));
bindTheme(document.getElementById('theme'), () => charts.recolour());

let state = initialState(Date.now());

function showConnection() {
  const now = Date.now();
  const { mode, since, text } = connection(state, now);
  setAttribute(document.body, 'data-mode', mode);
  const standby = state.sources.overview.error?.reason === 'NOT_LEADER';
  setText(document.getElementById('pill'), standby ? 'standby' : mode);
  const bar = document.getElementById('bar');
  const hidden = mode === 'live' || mode === 'loading';
  // The time since is not said again every second: it stands beside what is said.
  setText(bar.querySelector('[role=status]'), hidden ? '' : text);
  setText(bar.querySelector('.since'), hidden || since === null ? ''
    : ` Figures are of ${clock(since)}, ${ago(since, now)}.`);
  bar.hidden = hidden;
}

function showOverview({ data }) {
  if (data === null) return;
  figures(data);
  shares(data.totals);
  charts.update(data.series);
  const firing = data.alerts?.firing > 0 ? `(${data.alerts.firing}) ` : '';
  document.title = `${firing}Meridian ${data.region}`;
  const time = document.getElementById('time');
  setText(time, clock(Date.parse(data.timestamp)));
  setAttribute(time, 'datetime', data.timestamp);
}

const poller = poll({
  ask,
  resting: () => document.hidden,
  tell(name, answer) {
    const before = state.sources.overview.data;
    state = withAnswer(state, name, answer, Date.now());
    if (name === 'overview') {
      showOverview(state.sources.overview);
      const { epoch, alerts } = state.sources.overview.data ?? {};
      if (epoch !== before?.epoch) poller.hurry(['ring', 'rollouts']);
      if (alerts?.firing !== before?.alerts?.firing) poller.hurry(['alerts']);
    }
    PANELS[name].forEach((show) => show(state));
    showConnection();
  },
});

Object.values(PANELS).flat().forEach((show) => show(state));
setInterval(showConnection, 500);
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) poller.hurry();
});
