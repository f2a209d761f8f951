// The page finds the slot that every other client finds.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { located } from '../../server/dashboard/page/hot_keys.js';
import { findKey } from '../../server/dashboard/page/ring.js';
import { ownersOf, routingPart, slotOf } from '../../server/dashboard/page/slots.js';
import { xxh3 } from '../../server/dashboard/page/xxh3.js';

const bytes = (text) => new TextEncoder().encode(text);

// Of the reference implementation, over so many letters k: one for each way that XXH3 has.
const HASHES = [[0, '2d06800538d394c2'], [1, 'a921e3704fda881d'], [3, 'a5e847b27b7ae16a'],
  [4, '8d9f785c1ade6bd7'], [8, 'ed706c0a5b61e03'], [9, '46c058ca8dfa46b2'],
  [16, '71a9d9d8a104c4d3'], [17, '4fff59d43a9eec1'], [128, '433cf1c6e51e58e8'],
  [129, '99341f95fe4b04be'], [240, 'aa797e2a991a7490'], [241, '26d43597c3347ba2'],
  [1024, '686d3de82e988280'], [1025, 'dce352d839be41f1'], [5000, '24717a6ebd965f26']];

test('hashes are those of the reference implementation, for every length class', () => {
  for (const [size, hash] of HASHES) {
    assert.equal(xxh3(bytes('k'.repeat(size))).toString(16), hash, `${size} bytes`);
  }
  assert.equal(xxh3(bytes('meridian')), 0x1366290fde697605n);  // HashTest.GoldenHashes.
});

test('a part of a larger buffer is hashed alone', () => {
  assert.equal(xxh3(bytes('xxmeridianxx').subarray(2, 10)), xxh3(bytes('meridian')));
});

test('slots are the golden ones of the C++ test', () => {
  // HashTest.GoldenSlots.
  const golden = [['task', '42', 294], ['task', '7', 171], ['task', 'user:{7}:profile', 171],
    ['session', 'user:{7}:cart', 734], ['a', '', 475], ['recommend', '{}x', 349],
    ['recommend', 'a{b', 985], ['task', 'a}{b}', 81],
    ['b', Uint8Array.of(0, 0xFF, 0x0A, 0x7B, 0, 0x7D), 843]];
  for (const [namespace, key, slot] of golden) {
    assert.equal(slotOf(namespace, key), slot, `${namespace} ${key}`);
  }
});

test('the routing part is the first filled tag', () => {
  const expected = [['plain', 'plain'], ['a{b}c', 'b'], ['{b}{c}', 'b'], ['{{b}}', '{b'],
    ['}{b}', 'b'], ['{}{b}', '{}{b}'], ['a{b', 'a{b'], ['{', '{'], ['', '']];
  for (const [key, part] of expected) {
    assert.equal(new TextDecoder().decode(routingPart(bytes(key))), part, key);
  }
});

const RING = { members: [{ id: 'us-1', data_address: 'h:1' }, { id: 'us-2' }],
  owners: Array.from({ length: 1024 }, (_, slot) => (slot === 171 ? -1 : slot % 2)) };

test('owners that name nobody are nobody, also where the answer is damaged', () => {
  assert.equal(ownersOf(RING).owners[171], null);
  assert.equal(ownersOf(RING).owners[294], 0);
  assert.deepEqual(ownersOf({ members: [{ id: 'a' }], owners: [0, 7, 'x', 0.5] }).owners.slice(0, 5),
    [0, null, null, null, null]);
  assert.deepEqual(ownersOf(null).members, []);
});

test('find a key says slot and owner, or what is wrong with the key', () => {
  const known = ownersOf(RING);
  assert.deepEqual(findKey('task', '42', known), { slot: 294, text: 'Slot 294, owned by us-1 (h:1)' });
  assert.deepEqual(findKey('task', '7', known), { slot: 171, text: 'Slot 171, which nobody owns' });
  for (const [namespace, key] of [['', 'k'], ['Task', 'k'], ['a'.repeat(65), 'k'], ['task', ''],
    ['task', 'ü'.repeat(513)]]) {
    assert.ok(findKey(namespace, key, known).problem, `${namespace} ${key}`);
  }
});

test('hot keys that are not text are located by their bytes', () => {
  const [text, binary, broken] = located([{ namespace: 'task', key: '42' },
    { namespace: 'b', key_base64: btoa('\u0000\u00ff\n{\u0000}') },
    { namespace: 'b', key_base64: '?' }], RING);
  assert.deepEqual([text.slot, text.owner], [294, 'us-1']);
  assert.deepEqual([binary.slot, binary.owner], [843, 'us-2']);
  assert.deepEqual([broken.slot, broken.owner], [null, null]);
});
