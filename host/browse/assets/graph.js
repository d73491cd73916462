// @ts-check
// Pictures of graphs, as SVG. What is drawn once for all is not drawn again when something is chosen.

import { useMemo, useRef } from 'preact/hooks';
import { html } from 'oc/html';

/**
 * A picture of a layout with its edges. A click on a node chooses it; for those who use keys there is a list of the same beside it.
 * @param {{
 *   layout: import('oc/layout').Layout, label: string, chosen: number | null, onChoose: (place: number) => void,
 *   edges: { d: string, class: string, opacity?: number }[], marked: { d: string, class: string }[], way: Set<number>,
 *   side?: 'below' | 'right', flag?: (place: number) => string,
 * }} props `edges` are always drawn; `marked` lie above them; `way` are places that are marked
 */
export function Graph({ layout, label, chosen, onChoose, edges, marked, way, side = 'below', flag }) {
  const svg = useRef(/** @type {SVGElement | null} */ (null));
  const drawn = useMemo(
    () => html`<g>
      ${layout.lanes.map((lane) => html`<g key=${lane.label}>
        <line class="lane" x1="0" x2=${layout.width} y1=${lane.y} y2=${lane.y} />
        <text class="lane-name" x="4" y=${lane.y + 5}>${lane.label}</text>
      </g>`)}
      ${edges.map((edge) => html`<path key=${edge.class} class=${`edge ${edge.class}`} style=${{ strokeOpacity: edge.opacity }} d=${edge.d} />`)}
    </g>`,
    [layout, edges],
  );
  const nodes = useMemo(
    () => html`<g>${layout.nodes.map((node) => html`<g key=${node.id} class=${`node ${flag?.(node.id) ?? ''}`} data-place=${node.id}>
      <rect class="hit" x=${node.x - 13} y=${node.y - 10} width="26" height=${side === 'below' ? 32 : 20} />
      <circle cx=${node.x} cy=${node.y} r="6" />
      ${side === 'below'
        ? html`<text x=${node.x} y=${node.y + 19} text-anchor="middle">${node.label}</text>`
        : null}
      <title>${node.title}</title>
    </g>`)}</g>`,
    [layout, flag],
  );
  const choose = (/** @type {MouseEvent} */ event) => {
    const target = /** @type {Element} */ (event.target).closest('[data-place]');
    if (target) onChoose(Number(target.getAttribute('data-place')));
  };
  const at = chosen === null ? undefined : layout.nodes[chosen];
  return html`<svg
    class="graph" role="img" aria-label=${label} ref=${svg} width=${layout.width} height=${layout.height}
    viewBox=${`0 0 ${layout.width} ${layout.height}`} onClick=${choose}
  >
    ${drawn}
    ${marked.map((edge) => html`<path key=${edge.class} class=${`edge ${edge.class}`} d=${edge.d} />`)}
    ${nodes}
    ${[...way].map((place) => layout.nodes[place] && html`<circle
      key=${place} class="way" cx=${layout.nodes[place].x} cy=${layout.nodes[place].y} r="7.5" />`)}
    ${at && html`<circle class="chosen" cx=${at.x} cy=${at.y} r="10" />`}
  </svg>`;
}
