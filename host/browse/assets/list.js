// @ts-check
// A list of which only what can be seen is in the document, however long it is.

import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { html } from 'oc/html';

/** How many rows beyond the edge are there already. */
const MORE = 6;

/**
 * A list to choose from, by pointer or keys.
 * @param {{
 *   items: any[], row: number, label: string, render: (item: any) => any,
 *   chosen?: (item: any) => boolean, onChoose?: (item: any) => void, empty?: string,
 * }} props `row` is the height of each in pixels
 */
export function List({ items, row, label, render, chosen, onChoose, empty }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(480);
  const [active, setActive] = useState(0);
  const id = useId();
  const last = Math.max(0, items.length - 1);
  const at = Math.min(active, last);

  useLayoutEffect(() => {
    if (!box.current) return undefined;
    const measure = () => setHeight(box.current?.clientHeight || 480);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  // Other items are another list: it begins at the top.
  useEffect(() => {
    setActive(0);
    if (box.current) box.current.scrollTop = 0;
  }, [items]);

  const move = (/** @type {number} */ to) => {
    const next = Math.max(0, Math.min(last, to));
    setActive(next);
    const element = box.current;
    if (!element) return;
    if (next * row < element.scrollTop) element.scrollTop = next * row;
    if ((next + 1) * row > element.scrollTop + element.clientHeight) {
      element.scrollTop = (next + 1) * row - element.clientHeight;
    }
  };
  const page = Math.max(1, Math.floor(height / row) - 1);
  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowDown: () => move(at + 1),
    ArrowUp: () => move(at - 1),
    PageDown: () => move(at + page),
    PageUp: () => move(at - page),
    Home: () => move(0),
    End: () => move(last),
    Enter: () => items[at] !== undefined && onChoose?.(items[at]),
    ' ': () => items[at] !== undefined && onChoose?.(items[at]),
  };
  const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
    const action = keys[event.key];
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    action();
  };

  const from = Math.max(0, Math.floor(top / row) - MORE);
  const to = Math.min(items.length, Math.ceil((top + height) / row) + MORE);
  const rows = items.slice(from, to).map((item, place) => {
    const index = from + place;
    const isChosen = chosen?.(item) ?? false;
    return html`<div
      key=${index} id=${`${id}-${index}`} role="option" aria-selected=${isChosen ? 'true' : 'false'}
      aria-posinset=${index + 1} aria-setsize=${items.length}
      class=${`row${isChosen ? ' chosen' : ''}${index === at ? ' active' : ''}`}
      style=${{ top: `${index * row}px`, height: `${row}px` }}
      onClick=${() => { setActive(index); onChoose?.(item); }}
    >${render(item)}</div>`;
  });
  return html`<div
    class="list" role="listbox" tabindex="0" aria-label=${label} ref=${box}
    aria-activedescendant=${items.length ? `${id}-${at}` : undefined}
    onKeyDown=${onKeyDown} onScroll=${() => setTop(box.current?.scrollTop ?? 0)}
  >
    ${items.length === 0 && html`<p class="quiet">${empty ?? 'Nothing.'}</p>`}
    <div class="rows" role="presentation" style=${{ height: `${items.length * row}px` }}>${rows}</div>
  </div>`;
}
