// The slot of a key (docs/wire.md, Slots): xxh3_64(namespace, 0x00, routing part) mod 1024.

import { xxh3 } from './xxh3.js';

export const SLOTS = 1024;

const OPEN = 0x7B, CLOSE = 0x7D;  // { }
const utf8 = new TextEncoder();

// What stands between the first { and the next }, when that is not empty; else the whole key. Bytes.
export function routingPart(key) {
  const open = key.indexOf(OPEN);
  const close = open < 0 ? -1 : key.indexOf(CLOSE, open + 1);
  return close <= open + 1 ? key : key.subarray(open + 1, close);
}

// `key`: text, or a Uint8Array.
export function slotOf(namespace, key) {
  const space = utf8.encode(namespace);
  const routing = routingPart(typeof key === 'string' ? utf8.encode(key) : key);
  const bytes = new Uint8Array(space.length + 1 + routing.length);
  bytes.set(space);
  bytes.set(routing, space.length + 1);
  return Number(xxh3(bytes) % BigInt(SLOTS));
}

// Who owns what, of an answer of /v1/cluster/ring: [{id, state, slots, load, ...}] and one index or
// null for each slot. Tolerates owners that name nobody.
export function ownersOf(ring) {
  const members = Array.isArray(ring?.members) ? ring.members : [];
  const owners = Array.from({ length: SLOTS }, (_, slot) => {
    const index = ring?.owners?.[slot];
    return Number.isInteger(index) && index >= 0 && index < members.length ? index : null;
  });
  return { members, owners };
}
