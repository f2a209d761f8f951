// A page of the dashboard in Chromium, and a record of what it should not have done.

import { execFile } from 'node:child_process';
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
export async function openPage(context, { route = null, down = false } = {}) {
  const page = await context.newPage();
  const complaints = [], overviews = new Map();
  page.on('console', (message) => {
    if (message.type() === 'error' && !page.mayFail) complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`script: ${error.stack}`));
  page.on('request', (request) => {
    if (!request.url().startsWith(`${BASE}/`)) complaints.push(`request to ${request.url()}`);
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
  await page.goto(`${BASE}/`);
  return { page, complaints, overviews };
}

export const waitForMode = (page, mode, timeout = 15000) =>
  page.waitForSelector(`body[data-mode="${mode}"]`, { timeout, state: 'attached' });

// Asks /v1/... of the coordinator, or another page.
export async function json(url) {
  const reply = await fetch(url.startsWith('/') ? BASE + url : url);
  if (!reply.ok) throw new Error(`${url}: ${reply.status} ${await reply.text()}`);
  return reply.json();
}

export async function localCluster(...words) {
  await promisify(execFile)(env.LOCAL_CLUSTER, ['--dir', env.CLUSTER, ...words]);
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
