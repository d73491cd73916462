// @ts-check
// What takes the room: a treemap, and the same as a table for those who do not see pictures.

import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { cut, size } from 'oc/format';
import { html } from 'oc/html';
import { squarify } from 'oc/squarify';

/** @typedef {{ name: string, bytes: number, tone: number, shared?: boolean, parts?: Tile[] }} Tile */

const HEIGHT = 360;
const HEAD = 20;

/**
 * Returns the width of an element, and follows it.
 * @param {number} first what it is taken to be before it is known
 * @returns {[import('preact').RefObject<HTMLElement | null>, number]}
 */
function useWidth(first) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [width, setWidth] = useState(first);
  useLayoutEffect(() => {
    if (!box.current) return undefined;
    const measure = () => setWidth(Math.max(200, Math.floor(box.current?.clientWidth ?? first)));
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

/**
 * Makes tiles of a description: for each type of content what of it is new, and for operators what each package has alone, with
 * what several of them share as a tile of its own.
 * @param {any} description
 * @returns {Tile[]}
 */
export function tiles(description) {
  /** @type {Tile[]} */
  const found = description.content.map((/** @type {any} */ group, /** @type {number} */ tone) => {
    if (group.type !== 'operator') return { name: group.type, bytes: group.newBytes, tone };
    const packages = (description.catalogs ?? []).flatMap((/** @type {any} */ catalog) => catalog.packages);
    const parts = packages.map((/** @type {any} */ one) => ({
      name: one.package,
      bytes: one.newBytes - one.sharedBytes,
      tone,
    }));
    const alone = parts.reduce((/** @type {number} */ sum, /** @type {Tile} */ part) => sum + part.bytes, 0);
    parts.push({ name: 'shared by operators, and catalogs', bytes: group.newBytes - alone, tone, shared: true });
    return { name: group.type, bytes: group.newBytes, tone, parts };
  });
  found.push({ name: 'files', bytes: description.files.bytes, tone: found.length });
  found.push({ name: 'metadata', bytes: description.metadataBytes, tone: found.length });
  return found.filter((tile) => tile.bytes > 0);
}

/**
 * @param {{ tiles: Tile[], label: string }} props
 */
export function Treemap({ tiles, label }) {
  const [box, width] = useWidth(640);
  const placed = useMemo(() => {
    const outer = squarify(tiles, (tile) => tile.bytes, { x: 0, y: 0, width, height: HEIGHT });
    return outer.flatMap(({ item, box: area }) => {
      const hasHead = item.parts && area.height > 3 * HEAD && area.width > 60;
      if (!item.parts || !hasHead) return [{ item, area, isGroup: false }];
      const inner = { x: area.x + 2, y: area.y + HEAD, width: area.width - 4, height: area.height - HEAD - 2 };
      const parts = squarify(item.parts, (part) => part.bytes, inner);
      return [{ item, area, isGroup: true }, ...parts.map((part) => ({ item: part.item, area: part.box, isGroup: false }))];
    });
  }, [tiles, width]);
  return html`<div class="treemap" ref=${box}>
    <svg role="img" aria-label=${label} width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`}>
      <defs><pattern id="hatch" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
        <line class="hatch" x1="0" y1="0" x2="0" y2="8" />
      </pattern></defs>
      ${placed.map(({ item, area, isGroup }) => html`<g class=${`tile tone-${item.tone % 6}${isGroup ? ' group' : ''}`}>
        <rect x=${area.x} y=${area.y} width=${Math.max(0, area.width - 1)} height=${Math.max(0, area.height - 1)} />
        ${item.shared && html`<rect class="hatched" fill="url(#hatch)" x=${area.x} y=${area.y} width=${Math.max(0, area.width - 1)} height=${Math.max(0, area.height - 1)} />`}
        <title>${`${item.name}: ${size(item.bytes)}`}</title>
        ${area.width > 56 && area.height > 18 && html`<text x=${area.x + 5} y=${area.y + 14}>${cut(item.name, Math.floor((area.width - 8) / 7))}</text>`}
        ${!isGroup && area.width > 56 && area.height > 34 && html`<text class="bytes" x=${area.x + 5} y=${area.y + 29}>${cut(size(item.bytes), Math.floor((area.width - 8) / 7))}</text>`}
      </g>`)}
    </svg>
  </div>`;
}
