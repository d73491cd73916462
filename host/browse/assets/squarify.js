// @ts-check
// Squarified treemaps, after Bruls, Huizing and van Wijk (2000): areas as values say, shapes as square as can be.

/**
 * @typedef {{ x: number, y: number, width: number, height: number }} Box
 */

/**
 * Divides a box among values. Those that are not positive get nothing.
 * @template T
 * @param {T[]} items
 * @param {(item: T) => number} value
 * @param {Box} box
 * @returns {{ item: T, box: Box }[]}
 */
export function squarify(items, value, box) {
  const sorted = items.filter((item) => value(item) > 0).sort((a, b) => value(b) - value(a));
  const total = sorted.reduce((sum, item) => sum + value(item), 0);
  if (total === 0 || box.width <= 0 || box.height <= 0) return [];
  const scale = (box.width * box.height) / total;
  /** @type {{ item: T, box: Box }[]} */
  const placed = [];
  let rest = { ...box };
  let start = 0;
  while (start < sorted.length) {
    const side = Math.min(rest.width, rest.height);
    let end = start;
    let sum = 0;
    let worst = Infinity;
    // A row takes more as long as that makes its worst shape better.
    while (end < sorted.length) {
      const area = value(sorted[end]) * scale;
      const least = area;
      const most = value(sorted[start]) * scale;
      const next = sum + area;
      const ratio = Math.max((side * side * most) / (next * next), (next * next) / (side * side * least));
      if (ratio > worst) break;
      worst = ratio;
      sum = next;
      end += 1;
    }
    const depth = sum / side;
    const isWide = rest.width >= rest.height;
    let along = isWide ? rest.y : rest.x;
    for (const item of sorted.slice(start, end)) {
      const length = (value(item) * scale) / depth;
      placed.push({
        item,
        box: isWide
          ? { x: rest.x, y: along, width: depth, height: length }
          : { x: along, y: rest.y, width: length, height: depth },
      });
      along += length;
    }
    rest = isWide
      ? { x: rest.x + depth, y: rest.y, width: rest.width - depth, height: rest.height }
      : { x: rest.x, y: rest.y + depth, width: rest.width, height: rest.height - depth };
    start = end;
  }
  return placed;
}
