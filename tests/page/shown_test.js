// What is on the page at all. That it shows what the coordinator says, tests/browser compares.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const file = (name) => readFileSync(new URL(`../../server/dashboard/page/${name}`, import.meta.url), 'utf8');
const page = file('index.html');
const figures = new Set([...page.matchAll(/data-figure="([^"]+)"/g)].map((match) => match[1]));

test('2-15: by tier, by cause of eviction, and what it saves are on the page', () => {
  for (const figure of [
    'totals.hits', 'totals.misses', 'totals.hit_rate', 'totals.l1_hit_rate', 'totals.l2_hit_rate',
    'totals.l1_bytes', 'totals.l1_limit_bytes', 'totals.l2_used_bytes', 'totals.l2_limit_bytes',
    'totals.evictions_per_second', 'totals.evictions.size', 'totals.evictions.ttl', 'totals.evictions.replaced',
    'totals.evictions.fence', 'totals.evictions.admission', 'totals.errors', 'totals.read_error_rate',
    'totals.origin_queries_avoided', 'totals.time_saved_seconds', 'totals.estimated_cost_savings',
  ]) assert.ok(figures.has(figure), figure);
  for (const section of ['latency', 'namespaces', 'warming']) {
    assert.ok(page.includes(`<section id="${section}"`), section);
  }
});

test('0-22: hit rate, P50, P95, P99, memory, evictions and the CPU of compression are on the page', () => {
  for (const figure of [
    'totals.hit_rate', 'totals.latency.calls.p50_ms', 'totals.latency.calls.p95_ms',
    'totals.latency.calls.p99_ms', 'totals.l1_bytes', 'totals.evictions_per_second',
  ]) assert.ok(figures.has(figure), figure);
  assert.ok(file('namespaces.js').includes("'compression_cpu_seconds'"));
});
