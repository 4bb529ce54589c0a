'use strict';
// Numbers and times as text, with units. What is not known is an en dash.
const NONE = '–';
const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const known = (value) => typeof value === 'number' && Number.isFinite(value);
const fixed = (value, digits) => value.toLocaleString('en', {
  minimumFractionDigits: digits, maximumFractionDigits: digits,
});
const digitsOf = (value) => (value >= 100 ? 0 : value >= 10 ? 1 : 2);

function count(value) {
  return known(value) ? whole.format(value) : NONE;
}

function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

function perSecond(value) {
  if (!known(value)) return NONE;
  return value === 0 ? '0/s' : `${fixed(value, value >= 100 ? 0 : value >= 1 ? 1 : 2)}/s`;
}

function bytes(value) {
  if (!known(value)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let at = 0;
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024;
    at += 1;
  }
  return `${at === 0 ? count(value) : fixed(value, value >= 100 ? 0 : 1)} ${units[at]}`;
}

/** A latency: three digits. */
function latency(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds === 0) return '0 ms';
  if (seconds < 0.001) return `${fixed(seconds * 1e6, 0)} µs`;
  if (seconds < 1) return `${fixed(seconds * 1e3, digitsOf(seconds * 1e3))} ms`;
  return `${fixed(seconds, digitsOf(seconds))} s`;
}

/** A time between two moments: the two largest units. */
function span(seconds) {
  if (!known(seconds)) return NONE;
  if (seconds < 10 && seconds !== Math.round(seconds)) return `${fixed(seconds, 1)} s`;
  const parts = [];
  let left = Math.round(seconds);
  for (const [name, length] of [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]) {
    const some = Math.floor(left / length);
    left -= some * length;
    if (some > 0) parts.push(`${some} ${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length > 0 ? parts.join(' ') : '0 s';
}

function percent(part, all) {
  if (!known(part) || !known(all) || all <= 0) return NONE;
  return ratio(part / all);
}

function ratio(value) {
  if (!known(value)) return NONE;
  const share = 100 * value;
  // A ratio that is not all does not read as all.
  const shown = share < 100 ? Math.min(share, 99.99) : share;
  return `${fixed(shown, shown === 0 || shown === 100 ? 0 : shown > 99.9 ? 2 : 1)} %`;
}

const clockTime = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit', second: '2-digit'});
const clockDay = new Intl.DateTimeFormat('en-GB', {day: 'numeric', month: 'short'});
const clockShort = new Intl.DateTimeFormat('en-GB', {hour: '2-digit', minute: '2-digit'});

/** The time of day of unix seconds, with the day where it is another one than today. */
function clock(seconds) {
  if (!known(seconds)) return NONE;
  const at = new Date(seconds * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clockTime.format(at) : `${clockDay.format(at)}, ${clockTime.format(at)}`;
}

/** Names, separated by commas; of many the first ones. */
function list(names, most = 3) {
  const shown = names.slice(0, most).join(', ');
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}

function encode64(bytesOfKey) {
  let text = '';
  for (const byte of bytesOfKey) text += String.fromCharCode(byte);
  return btoa(text);
}

/** The bytes of a text in base64, of either alphabet and with or without padding, or null. */
function decode64(text) {
  const plain = text.trim().replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, '');
  if (!/^[A-Za-z0-9+/]*$/.test(plain) || plain.length % 4 === 1) return null;
  return Uint8Array.from(atob(plain), (letter) => letter.charCodeAt(0));
}

/** The text of UTF-8, or null where the bytes are none. */
function decodeText(bytesOfKey) {
  try {
    return new TextDecoder('utf-8', {fatal: true, ignoreBOM: true}).decode(bytesOfKey);
  } catch {
    return null;
  }
}
