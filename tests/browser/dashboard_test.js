// The dashboard page before a real cluster under load. tests/repo/dashboard_test.py starts both.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import {
  BASE, json, localCluster, NODES, openBrowser, openPage, quiet, sleep, startStandby, waitForMode,
} from './browser.js';
import { at, metricSum, readChecked } from './figures.js';

const { COORDINATOR_NAME, REDIS, VICTIM, WORK, MERIDIAN_SCREENSHOTS } = process.env;
let browser;

before(async () => {
  browser = await openBrowser({ colorScheme: 'light' });
  // Load for long enough that a minute's figures are not a start's.
  await sleep(15000);
});
after(() => browser.close());

async function picture(page, name) {
  const folder = MERIDIAN_SCREENSHOTS || WORK;
  await page.screenshot({ path: path.join(folder, `dashboard-${name}.png`) });
  const { size } = fs.statSync(path.join(folder, `dashboard-${name}.png`));
  assert.ok(size < 400 * 1024, `${name} has ${size} bytes`);
}

test('every number on the page is that of the JSON', async () => {
  const opened = await openPage(browser.context);
  await waitForMode(opened.page, 'live');
  let shown = 0;
  for (let round = 0; round < 5; ++round) {
    const read = await readChecked(opened);
    shown = [...read.figures, ...read.rows].filter(({ value }) => value !== '').length;
    await sleep(1300);
  }
  assert.ok(shown > 60, `only ${shown} figures are known under load`);
  await quiet(opened);
  await opened.page.close();
});

async function metrics() {
  const texts = await Promise.all(NODES.map(async (node) => (await fetch(`${node}/metrics`)).text()));
  return { time: Date.now(), sum: (...words) => texts.reduce((sum, text) => sum + metricSum(text, ...words), 0) };
}

// Takes figures that were made later than now by so much that no node's are older.
async function laterOverview() {
  const from = Date.now();
  for (;;) {
    const overview = await json('/v1/cluster/overview');
    if (Date.parse(overview.timestamp) - from >= 2500) return overview;
    await sleep(200);
  }
}

test('the JSON is what /metrics says, within what happened in between', async () => {
  const first = await metrics();
  const overview = await laterOverview();
  await sleep(2500);
  const last = await metrics();
  // Counters of the figures, and of the metrics that they are of.
  const gets = (tier) => ['meridian_cache_gets_total', `tier="${tier}"`, 'result="hit"'];
  for (const [path, ...words] of [['l1_hits', ...gets('l1')], ['l2_hits', ...gets('l2')]]) {
    const low = first.sum(...words), high = last.sum(...words), value = at(overview.totals, path);
    assert.ok(low <= value && value <= high, `${path}: ${low} <= ${value} <= ${high}`);
  }
  const reads = (sample) => sample.sum('meridian_cache_gets_total', 'tier="l1"');
  const rate = (reads(last) - reads(first)) / (last.time - first.time) * 1000;
  const shown = overview.totals.requests_per_second;
  assert.ok(Math.abs(shown - rate) < 0.25 * rate, `${shown} reads/s, and by /metrics ${rate}`);
  for (const [path, name] of [['l1_entries', 'meridian_l1_entries'], ['l1_bytes', 'meridian_l1_bytes'],
    ['l1_limit_bytes', 'meridian_l1_limit_bytes']]) {
    const low = Math.min(first.sum(name), last.sum(name)), high = Math.max(first.sum(name), last.sum(name));
    const value = at(overview.totals, path);
    assert.ok(value >= low * 0.95 && value <= high * 1.05, `${path}: ${low}, ${value}, ${high}`);
  }
  assert.equal(overview.totals.nodes_alive, NODES.length);
});

test('lists and the ring hold what the coordinator answers', async () => {
  const opened = await openPage(browser.context);
  const { page } = opened;
  await waitForMode(page, 'live');
  await page.waitForSelector('#ring[data-state="ready"]');
  const ring = await json('/v1/cluster/ring');
  assert.deepEqual(await page.$$eval('#ring .legend li', (items) => items.map((item) => item.dataset.key)),
    ring.members.map((member) => member.id));
  const drawn = await page.$$eval('#ring .member', (paths) =>
    paths.map((one) => one.getAttribute('d').split('z').length - 1));
  assert.deepEqual(drawn, ring.members.map((_, i) => ring.owners.filter((owner) => owner === i).length));

  await page.fill('#ring [name=namespace]', 'task');
  await page.fill('#ring [name=key]', '42');
  await page.keyboard.press('Enter');
  const answer = await page.textContent('#ring output');
  assert.ok(answer.startsWith(`Slot 294, owned by ${ring.members[ring.owners[294]].id} `), answer);

  const hot = new Set((await json('/v1/cluster/hotkeys?limit=20')).keys.map((key) => key.key));
  const listed = await page.$$eval('#hotkeys tbody tr', (rows) => rows.map((row) => row.children[1].textContent));
  assert.ok(listed.length > 0 || hot.size === 0);
  for (const section of ['alerts', 'recommendations', 'warming', 'rollouts', 'hotkeys', 'regions']) {
    await page.waitForSelector(`#${section}:is([data-state="ready"], [data-state="empty"])`);
  }
  assert.equal(await page.$$eval('#regions td.good, #regions td.warn', (cells) => cells.length), 1);
  await quiet(opened);
  await page.close();
});

test('panels say that they load, that there is nothing, and what went wrong', async () => {
  let release;
  const held = new Promise((done) => { release = done; });
  const opened = await openPage(browser.context, { down: true, route: async (page) => {
    await page.route('**/v1/cluster/ring', async (request) => { await held; await request.continue(); });
    await page.route('**/v1/cluster/recommendations', (request) =>
      request.fulfill({ json: { recommendations: [] } }));
    await page.route('**/v1/cluster/hotkeys*', (request) => request.fulfill({ status: 503,
      json: { error: { code: 503, reason: 'NOT_READY', message: 'no figures yet' } } }));
  } });
  const note = (id) => opened.page.textContent(`#${id} .note`);
  await opened.page.waitForSelector('#hotkeys[data-state="error"]');
  assert.equal(await note('hotkeys'), 'Could not be loaded: no figures yet');
  assert.equal(await note('ring'), 'Loading…');
  await opened.page.waitForSelector('#recommendations[data-state="empty"]');
  assert.equal(await note('recommendations'), 'Nothing to recommend.');
  release();
  await opened.page.waitForSelector('#ring[data-state="ready"]');
  assert.deepEqual(opened.complaints, []);
  await opened.page.close();
});

// Relative luminance of "rgb(r, g, b)", as of WCAG.
function luminance(colour) {
  const [r, g, b] = colour.match(/[\d.]+/g).map((part) => part / 255)
    .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

const paint = (page, selector) => page.$eval(selector, (node) => {
  const { color, backgroundColor } = getComputedStyle(node);
  return { color, backgroundColor };
});

test('light and dark are readable; the switch is kept', async () => {
  const opened = await openPage(browser.context);
  const { page } = opened;
  await waitForMode(page, 'live');
  const check = async (dark) => {
    const ground = (await paint(page, '#now')).backgroundColor;
    assert.equal(luminance(ground) < 0.1, dark, ground);
    for (const selector of ['#now h2', '.tile h3', '.tile p', '.large', 'nav a', '#nodes td']) {
      const { color } = await paint(page, selector);
      assert.ok(contrast(color, ground) >= 4.5, `${selector}: ${color} on ${ground}`);
    }
    const badge = await paint(page, '#nodes .badge');
    assert.ok(contrast(badge.color, badge.backgroundColor) >= 4.5, JSON.stringify(badge));
  };
  await check(false);
  await page.setViewportSize({ width: 1200, height: 1300 });
  await page.waitForTimeout(1500);
  await picture(page, 'light');
  await page.emulateMedia({ colorScheme: 'dark' });
  await check(true);
  await page.waitForTimeout(1500);
  await picture(page, 'dark');
  await page.click('#theme');  // auto -> light
  await check(false);
  await page.reload();
  await waitForMode(page, 'live');
  await check(false);
  await page.click('#theme');  // light -> dark
  await page.emulateMedia({ colorScheme: 'light' });
  await check(true);
  await page.click('#theme');  // dark -> auto
  await check(false);
  await quiet(opened);
  await page.close();
});

test('a phone shows everything without scrolling sideways, and nothing jumps', async () => {
  const opened = await openPage(browser.context);
  const { page } = opened;
  await page.setViewportSize({ width: 360, height: 740 });
  await page.reload();
  await waitForMode(page, 'live');
  await sleep(4000);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  const shift = await page.evaluate(() => window.shift);
  assert.ok(shift < 0.1, `layout shift ${shift}`);
  await picture(page, 'phone');
  await quiet(opened);
  await page.close();
});

test('the keyboard reaches everything, and everything has a name', async () => {
  const opened = await openPage(browser.context);
  const { page } = opened;
  await waitForMode(page, 'live');
  await page.waitForSelector('#ring[data-state="ready"]');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');

  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  const reached = new Set();
  for (let i = 0; i < 80; ++i) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => {
      const node = document.activeElement;
      return node.id || node.getAttribute('href') || node.name || node.getAttribute('aria-label') ||
        node.textContent.trim();
    }));
  }
  for (const expected of ['theme', '#alerts', 'Nodes', 'Data types', 'namespace', 'key', 'Find']) {
    assert.ok(reached.has(expected), `${expected} is not among ${[...reached].join(' | ')}`);
  }
  for (const role of ['banner', 'navigation', 'main', 'contentinfo']) {
    assert.equal(await page.getByRole(role).count(), 1, role);
  }
  const nameless = await page.$$eval('button, input, canvas, svg, meter, a, section, [role=group]', (nodes) =>
    nodes.filter((node) => !(node.labels?.length || node.getAttribute('aria-label') ||
      node.getAttribute('aria-labelledby') || node.textContent.trim())).map((node) => node.outerHTML));
  assert.deepEqual(nameless, []);
  assert.equal(await page.$$eval('[aria-live=assertive], [role=status]', (nodes) => nodes.length), 2);
  await quiet(opened);
  await page.close();
});

test('the files are asked for again only when they have changed', async () => {
  const first = await fetch(`${BASE}/assets/app.js`);
  const again = await fetch(`${BASE}/assets/app.js`, { headers: { 'If-None-Match': first.headers.get('etag') } });
  assert.equal(first.headers.get('content-encoding'), 'gzip');
  assert.deepEqual([again.status, (await again.text()).length], [304, 0]);
});

test('a node that is killed is red within five seconds, and its alert fires beside it', async () => {
  const opened = await openPage(browser.context);
  const { page } = opened;
  const row = `#nodes tr[data-key="${VICTIM}"]`;
  const alerts = page.locator('#alerts .now li.firing')
    .filter({ hasText: 'MeridianNodeDown' }).filter({ hasText: VICTIM });
  await page.waitForSelector(`${row}.good`);
  assert.equal(await alerts.count(), 0);
  const killed = Date.now();
  await localCluster('kill', VICTIM);
  try {
    await page.waitForSelector(`${row}.bad`, { timeout: 10000 });
    const seconds = (Date.now() - killed) / 1000;
    const [red, green, blue] =
      (await paint(page, `${row} .badge`)).backgroundColor.match(/\d+/g).map(Number);
    assert.ok(red > 1.5 * green && red > 1.5 * blue, `rgb ${red} ${green} ${blue}`);
    console.log(`a killed node was red after ${seconds} s`);
    assert.ok(seconds <= 5, `red after ${seconds} s`);
    await alerts.waitFor({ timeout: 10000 });
    const fired = (Date.now() - killed) / 1000;
    console.log(`its alert was on the page after ${fired} s`);
    assert.ok(fired <= 6, `alert after ${fired} s`);
    const alert = alerts.first();
    assert.match(await alert.textContent(), /critical.*MeridianNodeDown.*docs\/runbooks\/MeridianNodeDown\.md/s);
    assert.match(await alert.textContent(), new RegExp(`node ${VICTIM}`));
    // On a busy machine others may fire as well.
    assert.match(await page.title(), /^\(\d+\) /);
    assert.match(await page.textContent('#missing'), new RegExp(`^${VICTIM} missing`));
    assert.match(await page.textContent(`${row} .remarks`), /not a member any more/);
    assert.match(await page.textContent('#spoken'), new RegExp(`critical alert: node ${VICTIM}`));
    await page.waitForFunction((id) => [...document.querySelectorAll('#ring .legend li')]
      .every((item) => item.dataset.key !== id || item.textContent.includes(': 0 slots')), VICTIM,
    { timeout: 15000 });
    await quiet(opened);
  } finally {
    await localCluster('start', VICTIM);
  }
  await alerts.waitFor({ state: 'detached', timeout: 30000 });
  await page.waitForSelector(`${row}.good`);
  await page.close();
});

test('a coordinator that stands still is said to be away, and since when; then all goes on', async () => {
  const opened = await openPage(browser.context, { down: true });
  const { page } = opened;
  await waitForMode(page, 'live');
  await localCluster('stop', COORDINATOR_NAME);
  try {
    await waitForMode(page, 'disconnected', 12000);
    assert.match(await page.textContent('#bar'), /cannot be reached.*Figures are of \d\d:\d\d:\d\d, \d+ s ago/);
    assert.ok(await page.isVisible('#bar'));
    assert.notEqual(await page.textContent('data[data-figure="totals.hits"]'), '–');
  } finally {
    await localCluster('cont', COORDINATOR_NAME);
  }
  await waitForMode(page, 'live', 30000);
  assert.ok(await page.isHidden('#bar'));
  assert.deepEqual(opened.complaints, []);
  await page.close();
});

test('the page of a standby is that of the leader, and says why while nobody leads', async () => {
  const standby = await startStandby();
  try {
    const opened = await openPage(browser.context, { down: true, base: standby.base });
    const { page } = opened;
    await waitForMode(page, 'live');
    const bar = () => page.textContent('#bar');
    assert.ok(await page.isHidden('#bar'));
    assert.equal(await page.textContent('#pill'), 'live');
    const { coordinator, region } = await json(`${standby.base}/v1/cluster/overview`);
    assert.equal(coordinator, COORDINATOR_NAME);
    assert.match(await page.title(), new RegExp(region));
    assert.ok(Number(await page.getAttribute('data[data-figure="totals.hits"]', 'value')) > 0);
    await localCluster('stop', REDIS);
    try {
      await page.waitForFunction(() => /does not lead: no leader is known/
        .test(document.getElementById('bar').textContent), null, { timeout: 30000 });
      // Its own alert, which is all that it knows.
      const alert = page.locator('#alerts .now li.firing');
      await alert.first().waitFor({ timeout: 30000 });
      assert.match(await alert.first().textContent(), /critical.*MeridianRedisAway.*coordinator us-standby/s);
      assert.equal(await page.textContent('#pill'), 'standby');
      assert.ok(await page.isVisible('#bar'));
      assert.match(await bar(), /Figures are of /);  // What is shown is old, and says so.
      await picture(page, 'nobody-leads');
    } finally {
      await localCluster('cont', REDIS);
    }
    // Either of the two leads then.
    await page.waitForFunction(() => !/no leader is known/.test(document.getElementById('bar').textContent),
      null, { timeout: 30000 });
    await waitForMode(page, 'live', 30000);
    assert.deepEqual(opened.complaints, []);
    await page.close();
  } finally {
    await standby.stop();
  }
});
