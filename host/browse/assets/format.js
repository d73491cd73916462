// @ts-check
// Numbers and names for people, as the program prints them.

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/**
 * Writes a number of bytes in powers of 1024.
 * @param {number} bytes
 */
export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit + 1 < UNITS.length) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(1)} ${UNITS[unit]}`;
}

/**
 * Writes a count with its thousands: `1,085`.
 * @param {number} value
 */
export function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/**
 * Writes a count with its noun: `1 error`, `1,085 releases`.
 * @param {number} value
 * @param {string} noun
 */
export function count(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/**
 * Cuts a text that is longer than `most` characters.
 * @param {string} text
 * @param {number} most
 */
export function cut(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, most - 1))}…`;
}
