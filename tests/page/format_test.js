// Numbers as people read them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ago, enumWord, format, parseTime, UNKNOWN } from '../../server/dashboard/page/format.js';

test('what is not known is a dash, whatever it should have been', () => {
  for (const kind of ['count', 'rate', 'percent', 'bytes', 'limit', 'used', 'ms', 'seconds', 'cores', 'number', 'text']) {
    for (const value of [null, undefined]) assert.equal(format(kind, value), UNKNOWN, kind);
  }
  assert.equal(format('ms', NaN), UNKNOWN);
  assert.equal(format('bytes', '12'), UNKNOWN);
});

test('counts are whole up to ten thousand, then short', () => {
  const expected = [[0, '0'], [42, '42'], [1234, '1,234'], [12345, '12.3 k'], [999499, '999 k'], [999500, '1 M'],
    [1234567, '1.23 M'], [5e9, '5 G'], [0.5, '0.5'], [-3, '-3']];
  for (const [value, text] of expected) assert.equal(format('count', value), text);
});

test('rates say that they are rates', () => {
  assert.equal(format('rate', 812.5), '813/s');
  assert.equal(format('rate', 0), '0/s');
  assert.equal(format('rate', 1.234), '1.23/s');
});

test('percents are of 0 to 1, always with one decimal', () => {
  assert.equal(format('percent', 0.84), '84.0 %');
  assert.equal(format('percent', 1), '100.0 %');
  assert.equal(format('percent', 0), '0.0 %');
});

test('bytes, times and limits take the largest unit in which they are one or more', () => {
  const expected = [['bytes', 0, '0 B'], ['bytes', 1023, '1,023 B'], ['bytes', 480000, '469 KiB'],
    ['bytes', 268435456, '256 MiB'], ['bytes', 3 * 2 ** 40, '3 TiB'], ['limit', 0, 'no known limit'], ['used', 0, UNKNOWN], ['used', 1024, '1 KiB'],
    ['ms', 0, '0 ms'], ['ms', 0.0305, '30.5 µs'], ['ms', 45.2, '45.2 ms'], ['ms', 1500, '1.5 s'],
    ['seconds', 0.05, '50 ms'], ['seconds', 59, '59 s'], ['seconds', 3600, '1 h'],
    ['seconds', 90000, '1.04 d'], ['cores', 0.31, '0.31 cores']];
  for (const [kind, value, text] of expected) assert.equal(format(kind, value), text);
});

test('a unit that rounds to one of the next is one of the next', () => {
  assert.equal(format('seconds', 59.99), '1 min');
  assert.equal(format('ms', 999.9), '1 s');
});

test('times', () => {
  assert.equal(ago(1000, 13000), '12 s ago');
  assert.equal(ago(13000, 1000), 'now');
  assert.equal(ago(null, 1000), UNKNOWN);
  assert.equal(parseTime('1970-01-01T00:00:12Z'), 12000);
  for (const text of [undefined, null, '', 'x', 5]) assert.equal(parseTime(text), null);
});

test('enums of the protos become words', () => {
  assert.equal(enumWord('ROLLOUT_STATE_ROLLED_BACK', 'ROLLOUT_STATE_'), 'rolled back');
  assert.equal(enumWord(undefined, 'X_'), '');
});
