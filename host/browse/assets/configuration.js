// @ts-check
// The text of the configuration, with what is wrong with it, and saving it.

import { useRef } from 'preact/hooks';
import { count } from 'oc/format';
import { html } from 'oc/html';
import { Failure } from 'oc/imagesets';

/** @typedef {{ code: string, severity: 'error' | 'warning' | 'note', path: string, line: number, column: number, message: string, hint?: string | null }} Finding */

/**
 * Finds where a line and column, both from 1, are in a text. Columns count characters, and texts of JavaScript units.
 * @param {string} text
 * @param {number} line
 * @param {number} column
 */
export function offset(text, line, column) {
  let start = 0;
  for (let at = 1; at < line; at += 1) {
    const end = text.indexOf('\n', start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  const end = text.indexOf('\n', start);
  const characters = [...text.slice(start, end < 0 ? text.length : end)];
  return start + characters.slice(0, column - 1).join('').length;
}

/**
 * @param {{
 *   text: string, file: any, findings: Finding[], isChanged: boolean, note: string, problem: any, canUndo: boolean,
 *   onText: (text: string) => void, onSave: () => void, onReload: () => void, onUndo: () => void,
 * }} props
 */
export function Configuration({ text, file, findings, isChanged, note, problem, canUndo, onText, onSave, onReload, onUndo }) {
  const area = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const gutter = useRef(/** @type {HTMLElement | null} */ (null));
  const lines = text.split('\n').length;
  const worst = new Map();
  for (const finding of findings) {
    if (worst.get(finding.line) !== 'error') worst.set(finding.line, finding.severity);
  }
  const jump = (/** @type {Finding} */ finding) => {
    const element = area.current;
    if (!element) return;
    const start = offset(text, finding.line, finding.column);
    const end = text.indexOf('\n', start);
    element.focus();
    element.setSelectionRange(start, end < 0 ? text.length : end);
    const height = element.scrollHeight / Math.max(1, lines);
    element.scrollTop = Math.max(0, (finding.line - 4) * height);
  };
  const download = () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'application/yaml' }));
    link.download = 'imageset-config.yaml';
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const of = (/** @type {string} */ severity) => findings.filter((finding) => finding.severity === severity).length;
  const counts = [[of('error'), 'error'], [of('warning'), 'warning'], [of('note'), 'note']]
    .filter(([found]) => Number(found) > 0)
    .map(([found, noun]) => count(Number(found), String(noun)));
  const scroll = () => {
    if (gutter.current && area.current) gutter.current.scrollTop = area.current.scrollTop;
  };
  return html`<section class="configuration" aria-labelledby="configuration-title">
    <h2 id="configuration-title">Configuration</h2>
    <p class="quiet">${file ? html`<code>${file.path}</code>${file.digest === null ? ', not there yet' : ''}${isChanged ? ', changed' : ''}` : html`Start with <code>--config FILE</code> to save it.`}</p>
    <div class="buttons">
      ${file && html`<button type="button" class="primary" disabled=${!isChanged} onClick=${onSave}>Save</button>
        <button type="button" onClick=${onReload}>Load the file again</button>`}
      ${!file && html`<button type="button" onClick=${download} disabled=${!text}>Download</button>`}
      <button type="button" disabled=${!canUndo} onClick=${onUndo}>Undo the last pick</button>
    </div>
    ${problem && html`<${Failure} problem=${problem} />`}
    <p role="status" class=${note ? 'told' : 'nothing'}>${note}</p>
    <div class="editor">
      <div class="gutter" aria-hidden="true" ref=${gutter}>${Array.from({ length: lines }, (_, at) => html`<div key=${at} class=${worst.get(at + 1) ?? ''}>${at + 1}</div>`)}</div>
      <textarea ref=${area} spellcheck="false" autocapitalize="off" autocomplete="off" wrap="off" aria-label="Text of the configuration" aria-describedby="finding-count"
        value=${text} onInput=${(/** @type {any} */ event) => onText(event.target.value)} onScroll=${scroll}></textarea>
    </div>
    <p id="finding-count" role="status" aria-live="polite">${text.trim() === '' ? 'Nothing is written yet: choose packages or releases, or write.' : counts.length === 0 ? 'Nothing to complain about.' : counts.join(', ')}</p>
    <ul class="findings" aria-label="Findings">${findings.map((finding) => html`<li key=${`${finding.line}:${finding.column}:${finding.code}:${finding.path}`} class=${finding.severity}>
      <button type="button" class="link" onClick=${() => jump(finding)}>${finding.line}:${finding.column}</button>
      <span class="severity">${finding.severity}</span> <code>${finding.code}</code>${' '}
      <span>${finding.path ? html`<code>${finding.path}</code>: ` : ''}${finding.message}</span>
      ${finding.hint && html`<span class="quiet hint">hint: ${finding.hint}</span>`}
    </li>`)}</ul>
  </section>`;
}
