// A namespace that somebody gave a life of one second: the page alone says why its hit rate is low and
// what to do, and doing that brings what it promised. tests/repo/dashboard_test.py starts the cluster.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';

import { openBrowser, openPage, quiet, sleep, waitForMode } from './browser.js';

const { MERIDIAN_BIN_DIR, POLICIES, TARGETS } = process.env;
// Where the recommendation wants what follows.
const PLACE = 'in the policies: ';
// Each key is asked for about twice a second; who does not find it, stores it.
const LOAD = ['--namespace', 'session', '--reads', '400', '--keys', '200', '--skew', '0', '--ttl', '0'];
let browser, load;

before(async () => {
  load = spawn(path.join(MERIDIAN_BIN_DIR, 'meridian-look-aside-load'), ['--target', TARGETS, ...LOAD],
    { stdio: ['pipe', 'ignore', 'inherit'] });
  browser = await openBrowser({ colorScheme: 'light' });
});
after(async () => {
  load.stdin.end();
  await browser.close();
});

const ROW = '#namespaces tr[data-key="session"]';

// What the page says that was read since the start.
const counts = (page) => page.$eval(ROW, (row) => {
  const value = (name) => Number(row.querySelector(`data[data-column="${name}"]`).getAttribute('value'));
  return { hits: value('hits'), misses: value('misses') };
});

function rate(from, to) {
  const hits = to.hits - from.hits, reads = hits + to.misses - from.misses;
  assert.ok(reads > 3000, `only ${reads} reads are known`);
  return hits / reads;
}

test('the page says why a hit rate is low, and following it brings the gain that it promises', async () => {
  const opened = await openPage(browser.context);
  const { page } = opened;
  await waitForMode(page, 'live');
  await page.waitForSelector(ROW, { timeout: 30000 });
  const advice = page.locator('#recommendations li').filter({ hasText: 'its TTL is 1s' });
  await advice.waitFor({ timeout: 60000 });
  await sleep(8000);
  // As the page has it: from the first read on, which is less than five minutes ago.
  const low = rate({ hits: 0, misses: 0 }, await counts(page));
  assert.ok(low < 0.75, `hit rate ${low}`);

  // The namespace, the cause, and the gain to expect.
  const summary = await advice.locator('.summary').textContent();
  assert.match(summary, /^hit rate of session is [\d.]+ % because its values expire before they are asked for again: its TTL is 1s$/);
  const goal = await page.$$eval(`${ROW} .badge`, (badges) => badges.map((badge) => badge.textContent));
  assert.deepEqual(goal, ['80.0 % missed', 'none', 'none']);
  const gain = await advice.locator('.gain').textContent();
  const [, from, to] = /^To expect: hit rate ([\d.]+) % -> ([\d.]+) %$/.exec(gain).map(Number);
  const promised = (to - from) / 100;

  const command = await advice.locator('code').textContent();
  assert.ok(command.startsWith(PLACE), command);
  const followed = Date.now();
  fs.writeFileSync(POLICIES, command.slice(PLACE.length));
  await advice.waitFor({ state: 'detached', timeout: 60000 });
  console.log(`${command}: the recommendation was gone after ${(Date.now() - followed) / 1000} s`);

  await sleep(Math.max(0, followed + 5000 - Date.now()));  // What was stored before has expired.
  const then = await counts(page);
  // The column is of the last minute.
  await page.waitForFunction(([row, wanted]) =>
    Number(document.querySelector(`${row} data[data-column="hit_rate"]`).getAttribute('value')) > wanted,
  [ROW, low + promised - 0.02], { timeout: 120000 });
  await sleep(Math.max(0, followed + 40000 - Date.now()));
  const high = rate(then, await counts(page));
  console.log(`hit rate ${low} -> ${high}; ${gain}`);
  assert.ok(Math.abs(high - low - promised) <= 0.02, `hit rate ${low} -> ${high}, and the page said: ${gain}`);
  assert.equal(await advice.count(), 0);
  await quiet(opened);
  await page.close();
});
