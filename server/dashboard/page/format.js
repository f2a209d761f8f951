// Numbers for people: three digits that mean something, with their unit. Unknown is an en dash.

export const UNKNOWN = '–';

const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

// Three significant digits, and no more than are there: 0.0213, 8.4, 812, 1,234.
function digits(value) {
  const size = Math.abs(value);
  const decimals = size === 0 || size >= 100 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(size)));
  return value.toLocaleString('en', { maximumFractionDigits: Math.min(decimals, 6) });
}

// `value` in the largest of `steps` ([factor, unit], largest first) in which it is 1 or more.
function scaled(value, steps) {
  const [factor, unit] =
    steps.find(([factor]) => Math.abs(value) >= factor * 0.9995) ?? steps[steps.length - 1];
  return `${digits(value / factor)}${unit}`;
}

const COUNTS = [[1e12, ' T'], [1e9, ' G'], [1e6, ' M'], [1e4, ' k', 1e3]];
const BYTES = [[2 ** 40, ' TiB'], [2 ** 30, ' GiB'], [2 ** 20, ' MiB'], [2 ** 10, ' KiB'], [1, ' B']];
const MILLISECONDS = [[60000, ' min'], [1000, ' s'], [1, ' ms'], [0.001, ' µs']];
const SECONDS = [[86400, ' d'], [3600, ' h'], [60, ' min'], [1, ' s'], [0.001, ' ms']];

// Every formatter takes a number, or null or undefined: not known.
export const formats = {
  // 42, 1,234; from ten thousand on 12.3 k, 1.2 M.
  count(value) {
    if (!isNumber(value)) return UNKNOWN;
    const step = COUNTS.find(([from]) => Math.abs(value) >= from * 0.9995);
    return step ? `${digits(value / (step[2] ?? step[0]))}${step[1]}` : digits(value);
  },
  rate: (value) => (isNumber(value) ? `${formats.count(value)}/s` : UNKNOWN),
  // Of 0..1.
  percent: (value) => (isNumber(value) ? `${(value * 100).toFixed(1)} %` : UNKNOWN),
  bytes: (value) => (isNumber(value) ? scaled(value, BYTES) : UNKNOWN),
  // 0: nobody says, or there is none.
  limit: (value) => (value === 0 ? 'no known limit' : formats.bytes(value)),
  // 0: not known, of what always uses some.
  used: (value) => (value === 0 ? UNKNOWN : formats.bytes(value)),
  ms: (value) => (isNumber(value) ? (value === 0 ? '0 ms' : scaled(value, MILLISECONDS)) : UNKNOWN),
  seconds: (value) => (isNumber(value) ? (value === 0 ? '0 s' : scaled(value, SECONDS)) : UNKNOWN),
  cores: (value) => (isNumber(value) ? `${digits(value)} cores` : UNKNOWN),
  number: (value) => (isNumber(value) ? digits(value) : UNKNOWN),
  signed: (value) => (isNumber(value) ? `${value > 0 ? '+' : ''}${digits(value)}` : UNKNOWN),
  text: (value) => (value === null || value === undefined || value === '' ? UNKNOWN : String(value)),
};

// What stands on the page for `value`.
export function format(kind, value) {
  return (formats[kind] ?? formats.text)(value);
}

// "12 s ago", "3 min ago": of a moment in ms since 1970.
export function ago(then, now) {
  if (!isNumber(then)) return UNKNOWN;
  const seconds = Math.max(0, Math.round((now - then) / 1000));
  return seconds < 1 ? 'now' : `${formats.seconds(seconds)} ago`;
}

// ms since 1970 of an RFC 3339 time; null when it is none.
export function parseTime(text) {
  const time = typeof text === 'string' ? Date.parse(text) : NaN;
  return Number.isFinite(time) ? time : null;
}

const two = (number) => String(number).padStart(2, '0');

// "14:03:07", in the time of the reader.
export function clock(time) {
  if (!isNumber(time)) return UNKNOWN;
  const date = new Date(time);
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

// The last part of an enum of the protos, for people: WARM_JOB_STATE_RUNNING -> running.
export function enumWord(value, prefix) {
  return String(value ?? '').replace(prefix, '').toLowerCase().replaceAll('_', ' ');
}
