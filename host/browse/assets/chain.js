// @ts-check
// How a chain of imagesets grew: a bar for each.

import { number, size } from 'oc/format';
import { html } from 'oc/html';

/**
 * @param {{ sets: any[], chosen: any, onChoose?: (set: any) => void }} props the descriptions, by sequence
 */
export function Chain({ sets, chosen, onChoose }) {
  const most = Math.max(1, ...sets.map((set) => set.total.newBytes + set.required.bytes));
  const part = (/** @type {number} */ bytes) => `${(bytes / most) * 100}%`;
  return html`<table class="chain">
    <caption>What each imageset brings, and what it builds on</caption>
    <thead><tr>
      <th scope="col">Sequence</th><th scope="col">Made</th><th scope="col" class="bars">New and required</th>
      <th scope="col" class="right">New here</th><th scope="col" class="right">Required</th>
      <th scope="col" class="right">Images</th><th scope="col" class="right">As they were</th><th scope="col" class="right">Blocked</th>
    </tr></thead>
    <tbody>${sets.map((set) => html`<tr key=${set.index} class=${set === chosen ? 'chosen' : ''}>
      <th scope="row">${onChoose
        ? html`<button type="button" class="link" aria-pressed=${set === chosen ? 'true' : 'false'} onClick=${() => onChoose(set)}>${set.sequence}</button>`
        : set.sequence}</th>
      <td>${set.created.slice(0, 16).replace('T', ' ')}</td>
      <td class="bars"><span class="bar" aria-hidden="true">
        <span class="new" style=${{ width: part(set.total.newBytes) }}></span>
        ${set.required.bytes > 0 && html`<span class="old" style=${{ width: part(set.required.bytes) }}></span>`}
      </span></td>
      <td class="right">${size(set.total.newBytes)}</td>
      <td class="right">${size(set.required.bytes)}</td>
      <td class="right">${number(set.images.length)}</td>
      <td class="right">${number((set.unchanged ?? []).length)}</td>
      <td class="right">${number(set.refused.length)}</td>
    </tr>`)}</tbody>
  </table>`;
}
