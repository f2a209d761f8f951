// A page of the dashboard in Chromium, and a record of what it should not have done.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const env = process.env;
export const BASE = `http://${env.COORDINATOR}`;
export const NODES = env.NODES.split(',').map((address) => `http://${address}`);
const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

// Chromium with an empty profile of its own; `options` are playwright's of a context.
export async function openBrowser(options) {
  const { chromium } = createRequire(`${env.BROWSER_FILES}/`)('playwright-core');
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'meridian-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium', args: FLAGS, viewport: { width: 1280, height: 900 }, ...options,
  });
  return {
    context,
    async close() {
      await context.close();
      fs.rmSync(profile, { recursive: true, force: true });
    },
  };
}

// A page of ours, watched: `complaints` are errors on the console, policy violations, and requests that
// leave this server; `overviews` what it was told, by time stamp.
export async function openPage(context, { route = null, down = false, base = BASE } = {}) {
  const page = await context.newPage();
  const complaints = [], overviews = new Map();
  page.on('console', (message) => {
    if (message.type() === 'error' && !page.mayFail) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`script: ${error.stack}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(`${base}/`)) complaints.push(`request to ${request.url()}`);
  });
  page.on('response', async (response) => {
    if (!response.url().endsWith('/v1/cluster/overview') || response.status() !== 200) return;
    const overview = await response.json().catch(() => null);
    if (overview) overviews.set(overview.timestamp, [...overviews.get(overview.timestamp) ?? [], overview]);
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) =>
      window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
    window.shift = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
      if (!entry.hadRecentInput) window.shift += entry.value;
    })).observe({ type: 'layout-shift', buffered: true });
  });
  page.mayFail = down;
  if (route) await route(page);
  await page.goto(`${base}/`);
  return { page, complaints, overviews };
}

export const waitForMode = (page, mode, timeout = 15000) =>
  page.waitForSelector(`body[data-mode="${mode}"]`, { timeout, state: 'attached' });

// Fails when the page complained, or broke its own policy.
export async function quiet({ page, complaints }) {
  assert.deepEqual(complaints, []);
  assert.deepEqual(await page.evaluate(() => window.violations), []);
}

// Asks /v1/... of the coordinator, or another page.
export async function json(url) {
  const reply = await fetch(url.startsWith('/') ? BASE + url : url);
  if (!reply.ok) throw new Error(`${url}: ${reply.status} ${await reply.text()}`);
  return reply.json();
}

// One more coordinator of the first region, which another one leads: {base, stop()}.
export async function startStandby() {
  const ready = path.join(env.WORK, 'standby.json');
  fs.rmSync(ready, { force: true });
  const child = spawn(path.join(env.MERIDIAN_BIN_DIR, 'meridian-coordinator'), ['--id', 'us-standby',
    '--region', env.REGION, '--redis', env.REDIS_URL, '--grpc-address', '127.0.0.1:0', '--http-address',
    '127.0.0.1:0', '--ready-file', ready], { stdio: 'ignore' });
  const ended = new Promise((done) => child.on('exit', done));
  while (!fs.existsSync(ready)) {
    if (child.exitCode !== null) throw new Error('the standby has ended');
    await sleep(50);
  }
  return {
    base: `http://${JSON.parse(fs.readFileSync(ready, 'utf8')).http}`,
    async stop() {
      child.kill();
      await ended;
    },
  };
}

export async function localCluster(...words) {
  await promisify(execFile)(env.LOCAL_CLUSTER, ['--dir', env.CLUSTER, ...words]);
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
