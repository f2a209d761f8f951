// The page of the cluster that `scripts/demo --keep` leaves, and the traffic that it names.
// tests/repo/dashboard_test.py runs the demo.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, test } from 'node:test';

import { NODES, openBrowser, openPage, quiet, waitForMode } from './browser.js';
import { readChecked } from './figures.js';

let browser;

before(async () => { browser = await openBrowser({ colorScheme: 'light' }); });
after(() => browser.close());

test('the page of a demo that is kept shows what it did, and moves when the line that it prints is run', async () => {
  const opened = await openPage(browser.context);
  const { page } = opened;
  await waitForMode(page, 'live');
  const figure = (name) => page.$eval(`data[data-figure="totals.${name}"]`, (node) => Number(node.getAttribute('value')));
  await readChecked(opened);
  assert.equal(await figure('nodes_alive'), NODES.length);
  const hits = await figure('hits');
  assert.ok(hits > 1000, `${hits} hits of the demo`);

  const [program, ...words] = process.env.TRAFFIC.split(' ');
  const traffic = spawn(program, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  traffic.stdout.on('data', (text) => { said += text; });
  const ended = new Promise((done) => { traffic.on('exit', done); });
  await page.waitForFunction((before) => {
    const value = (name) => Number(document.querySelector(`data[data-figure="totals.${name}"]`).getAttribute('value'));
    return value('requests_per_second') > 100 && value('hits') > before + 1000;
  }, hits, { timeout: 20000 });
  await readChecked(opened);
  traffic.kill();
  assert.ok([0, 143].includes(await ended), said);
  await quiet(opened);
  await page.close();
});
