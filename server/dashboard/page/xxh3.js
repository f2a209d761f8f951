// XXH3 with 64 bits and seed 0, for any length: slots are computed with it (docs/wire.md, Slots).
//
// Written after the specification of XXH3, in BigInt: some microseconds for a key, which is enough
// for a person who types one.

const MASK = (1n << 64n) - 1n;
const P32_1 = 0x9E3779B1n, P32_2 = 0x85EBCA77n, P32_3 = 0xC2B2AE3Dn;
const P64_1 = 0x9E3779B185EBCA87n, P64_2 = 0xC2B2AE3D27D4EB4Fn, P64_3 = 0x165667B19E3779F9n,
  P64_4 = 0x85EBCA77C2B2AE63n, P64_5 = 0x27D4EB2F165667C5n;
const MX1 = 0x165667919E3779F9n, MX2 = 0x9FB21C651E98DF25n;

// The default secret of the specification, 192 bytes.
const SECRET = new DataView(Uint8Array.from((
  'b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f' +
  'cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c' +
  '3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8' +
  'a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364' +
  'eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e' +
  '2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e')
  .match(/../g), (pair) => parseInt(pair, 16)).buffer);

const u32 = (view, at) => BigInt(view.getUint32(at, true));
const u64 = (view, at) => view.getBigUint64(at, true);
const rotate = (x, by) => ((x << by) | (x >> (64n - by))) & MASK;
const swap32 = (x) => ((x & 0xFFn) << 24n) | ((x & 0xFF00n) << 8n) | ((x >> 8n) & 0xFF00n) | (x >> 24n);
const swap64 = (x) => (swap32(x & 0xFFFFFFFFn) << 32n) | swap32(x >> 32n);

function fold(a, b) {
  const product = a * b;
  return (product & MASK) ^ (product >> 64n);
}

function xxh64Avalanche(hash) {
  hash = ((hash ^ (hash >> 33n)) * P64_2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * P64_3) & MASK;
  return hash ^ (hash >> 32n);
}

function avalanche(hash) {
  hash = ((hash ^ (hash >> 37n)) * MX1) & MASK;
  return hash ^ (hash >> 32n);
}

function upTo3(bytes, size) {
  const first = BigInt(bytes.getUint8(0));
  const middle = BigInt(bytes.getUint8(size >> 1));
  const last = BigInt(bytes.getUint8(size - 1));
  const combined = (first << 16n) | (middle << 24n) | last | (BigInt(size) << 8n);
  return xxh64Avalanche(combined ^ (u32(SECRET, 0) ^ u32(SECRET, 4)));
}

function upTo8(bytes, size) {
  const joined = u32(bytes, size - 4) + (u32(bytes, 0) << 32n);
  let hash = joined ^ (u64(SECRET, 8) ^ u64(SECRET, 16));
  hash ^= rotate(hash, 49n) ^ rotate(hash, 24n);
  hash = (hash * MX2) & MASK;
  hash ^= (hash >> 35n) + BigInt(size);
  hash = (hash * MX2) & MASK;
  return hash ^ (hash >> 28n);
}

function upTo16(bytes, size) {
  const low = u64(bytes, 0) ^ (u64(SECRET, 24) ^ u64(SECRET, 32));
  const high = u64(bytes, size - 8) ^ (u64(SECRET, 40) ^ u64(SECRET, 48));
  return avalanche((BigInt(size) + swap64(low) + high + fold(low, high)) & MASK);
}

const mix16 = (bytes, at, secretAt) =>
  fold(u64(bytes, at) ^ u64(SECRET, secretAt), u64(bytes, at + 8) ^ u64(SECRET, secretAt + 8));

function upTo128(bytes, size) {
  let sum = BigInt(size) * P64_1;
  for (let i = (size - 1) >> 5; i >= 0; --i) {
    sum += mix16(bytes, 16 * i, 32 * i) + mix16(bytes, size - 16 * (i + 1), 32 * i + 16);
  }
  return avalanche(sum & MASK);
}

function upTo240(bytes, size) {
  let sum = BigInt(size) * P64_1;
  for (let i = 0; i < 8; ++i) sum += mix16(bytes, 16 * i, 16 * i);
  sum = avalanche(sum & MASK);
  for (let i = 8; i < size >> 4; ++i) sum += mix16(bytes, 16 * i, 16 * (i - 8) + 3);
  return avalanche((sum + mix16(bytes, size - 16, 136 - 17)) & MASK);
}

const STRIPE = 64, STRIPES_A_BLOCK = 16;  // (192 - 64) / 8 stripes before the lanes are scrambled.

function accumulate(lanes, bytes, at, secretAt) {
  for (let i = 0; i < 8; ++i) {
    const data = u64(bytes, at + 8 * i);
    const keyed = data ^ u64(SECRET, secretAt + 8 * i);
    lanes[i ^ 1] = (lanes[i ^ 1] + data) & MASK;
    lanes[i] = (lanes[i] + (keyed & 0xFFFFFFFFn) * (keyed >> 32n)) & MASK;
  }
}

function scramble(lanes) {
  for (let i = 0; i < 8; ++i) {
    const lane = lanes[i] ^ (lanes[i] >> 47n) ^ u64(SECRET, 128 + 8 * i);
    lanes[i] = (lane * P32_1) & MASK;
  }
}

function long(bytes, size) {
  const lanes = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1];
  const stripes = Math.floor((size - 1) / STRIPE);
  for (let i = 0; i < stripes; ++i) {
    accumulate(lanes, bytes, i * STRIPE, 8 * (i % STRIPES_A_BLOCK));
    if (i % STRIPES_A_BLOCK === STRIPES_A_BLOCK - 1) scramble(lanes);
  }
  accumulate(lanes, bytes, size - STRIPE, 192 - STRIPE - 7);
  let sum = BigInt(size) * P64_1;
  for (let i = 0; i < 4; ++i) {
    sum += fold(lanes[2 * i] ^ u64(SECRET, 11 + 16 * i), lanes[2 * i + 1] ^ u64(SECRET, 19 + 16 * i));
  }
  return avalanche(sum & MASK);
}

// The hash of a Uint8Array, as a BigInt.
export function xxh3(array) {
  const bytes = new DataView(array.buffer, array.byteOffset, array.byteLength);
  const size = array.byteLength;
  if (size === 0) return xxh64Avalanche(u64(SECRET, 56) ^ u64(SECRET, 64));
  if (size <= 3) return upTo3(bytes, size);
  if (size <= 8) return upTo8(bytes, size);
  if (size <= 16) return upTo16(bytes, size);
  if (size <= 128) return upTo128(bytes, size);
  if (size <= 240) return upTo240(bytes, size);
  return long(bytes, size);
}
