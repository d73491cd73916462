// @ts-check
// What imagesets hold. `ImagesetPage` is a part of reports too: it asks nobody for anything.

import { useEffect, useMemo, useState } from 'preact/hooks';
import { get } from 'oc/api';
import { Chain } from 'oc/chain';
import { count, number, size } from 'oc/format';
import { html } from 'oc/html';
import { List } from 'oc/list';
import { Treemap, tiles } from 'oc/treemap';

/** Reads the descriptions, and shows them. */
export function Imagesets() {
  const [sets, setSets] = useState(/** @type {any[] | null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  useEffect(() => {
    get('/api/imagesets').then(setSets, setProblem);
  }, []);
  if (problem) return html`<${Failure} problem=${problem} />`;
  if (!sets) return html`<p role="status">Reading the imagesets…</p>`;
  return html`<${ImagesetPage} sets=${sets} />`;
}

/** @param {{ problem: { message: string, hint?: string } }} props */
export function Failure({ problem }) {
  return html`<div class="failure" role="alert"><p>${problem.message}</p>
    ${problem.hint && html`<p>Hint: ${problem.hint}</p>`}</div>`;
}

/**
 * @param {{ sets: any[], whole?: boolean }} props descriptions, as `oc-mirror describe -o json` prints them; `whole` has all images in
 *   the document, to be printed
 */
export function ImagesetPage({ sets, whole = false }) {
  const [chosen, setChosen] = useState(sets[sets.length - 1]);
  const map = useMemo(() => tiles(chosen), [chosen]);
  const label = `What is new in imageset ${chosen.sequence}, by size: ${map.map((tile) => `${tile.name} ${size(tile.bytes)}`).join(', ')}`;
  return html`<div class="imageset">
    <section aria-label="Chains">
      ${[...new Set(sets.map((set) => set.uid))].map((uid) => html`<h2 key=${uid}>Chain <code>${uid}</code></h2>
        <div class="scroll"><${Chain} sets=${sets.filter((set) => set.uid === uid)} chosen=${chosen} onChoose=${sets.length > 1 ? setChosen : undefined} /></div>`)}
      <p class="quiet legend"><span class="swatch new"></span> new in the imageset <span class="swatch old"></span> required of earlier ones</p>
    </section>
    <section aria-labelledby="set-title">
      <h2 id="set-title">Imageset ${chosen.sequence}</h2>
      <${Facts} set=${chosen} />
    </section>
    <section aria-labelledby="map-title">
      <h2 id="map-title">What takes the room</h2>
      <${Treemap} tiles=${map} label=${label} />
      <p class="quiet">New bytes by type of content and operator, each blob once. What several operators need is hatched; what
        several types need is in each of them.</p>
      <${Sums} set=${chosen} />
    </section>
    <${Refused} set=${chosen} />
    <${Policies} set=${chosen} />
    <${Images} set=${chosen} sets=${sets} whole=${whole} />
  </div>`;
}

/** @param {{ set: any }} props */
function Facts({ set }) {
  const builds = set.base === 0 ? 'complete in itself' : `builds on sequence ${set.base}`;
  const unverified = set.signedBy.filter((/** @type {string} */ key) => !set.verified.includes(key));
  const faults = set.chunks.filter((/** @type {any} */ chunk) => chunk.fault);
  const bytes = set.chunks.reduce((/** @type {number} */ sum, /** @type {any} */ chunk) => sum + chunk.bytes, 0);
  return html`<dl class="facts">
    <dt>Sequence</dt><dd>${set.sequence}, ${builds}</dd>
    <dt>Made</dt><dd>${set.created} by ${set.createdBy}, format ${set.format}</dd>
    <dt>Identity</dt><dd><code>${set.index}</code></dd>
    ${set.previous && html`<dt>Follows</dt><dd><code>${set.previous}</code></dd>`}
    <dt>Signatures</dt><dd>${set.signedBy.length === 0
      ? 'not signed'
      : html`<ul>${set.verified.map((/** @type {string} */ key) => html`<li><code>${key}</code> trusted, the signature holds</li>`)}
        ${unverified.map((/** @type {string} */ key) => html`<li><code>${key}</code> not among the trusted keys</li>`)}</ul>`}</dd>
    <dt>Files</dt><dd>${count(set.chunks.length, 'chunk')}, ${size(bytes)}
      <ul>${set.chunks.map((/** @type {any} */ chunk) => html`<li><code>${chunk.name}</code> ${size(chunk.bytes)}${chunk.fault ? html` <strong>${chunk.fault}</strong>` : ''}</li>`)}</ul></dd>
    ${set.required.count > 0 && html`<dt>Requires</dt><dd>${count(set.required.count, 'blob')} of ${size(set.required.bytes)} from sequence ${set.required.sequences.join(', ')}</dd>`}
    ${faults.length > 0 && html`<dt>Damage</dt><dd role="alert">${count(faults.length, 'chunk')} cannot be used</dd>`}
    <dt>Verify with</dt><dd><code>oc-mirror check DIR</code>${set.signedBy.length > 0 ? html` and <code>--verify-key FILE</code>` : ''}</dd>
  </dl>`;
}

/** @param {{ set: any }} props */
function Sums({ set }) {
  const row = (/** @type {string} */ name, /** @type {any} */ sum, /** @type {string} */ kind) => html`<tr key=${kind + name} class=${kind}>
    <th scope="row">${name}</th><td class="right">${number(sum.images)}</td><td class="right">${size(sum.bytes)}</td>
    <td class="right">${size(sum.newBytes)}</td><td class="right">${size(sum.sharedBytes)}</td></tr>`;
  return html`<div class="scroll"><table>
    <caption>Sizes by content</caption>
    <thead><tr><th scope="col">Content</th><th scope="col" class="right">Images</th><th scope="col" class="right">Size</th>
      <th scope="col" class="right">New here</th><th scope="col" class="right">Shared</th></tr></thead>
    <tbody>
      ${set.content.map((/** @type {any} */ group) => row(group.type, group, 'type'))}
      ${(set.catalogs ?? []).map((/** @type {any} */ catalog) => [
        row(catalog.catalog, catalog, 'catalog'),
        ...catalog.packages.map((/** @type {any} */ one) => row(`${one.package} (${one.bundles.join(', ')})`, one, 'package')),
      ])}
      ${row('all images', set.total, 'total')}
    </tbody>
  </table></div>`;
}

/** @param {{ set: any }} props */
function Refused({ set }) {
  const quarantined = set.quarantined ?? [];
  if (set.refused.length === 0 && quarantined.length === 0) {
    return html`<section aria-labelledby="refused-title"><h2 id="refused-title">Blocked</h2><p class="quiet">No image was refused or quarantined.</p></section>`;
  }
  return html`<section aria-labelledby="refused-title">
    <h2 id="refused-title">Blocked</h2>
    ${set.refused.length > 0 && html`<div class="scroll"><table>
      <caption>${count(set.refused.length, 'image')} refused by policies</caption>
      <thead><tr><th scope="col">Image</th><th scope="col">For</th><th scope="col">Policy</th><th scope="col">Rule</th><th scope="col">Reason</th></tr></thead>
      <tbody>${set.refused.map((/** @type {any} */ one) => html`<tr>
        <th scope="row"><code>${one.origin}</code></th><td>${one.kind}</td><td>${one.policy}</td><td><code>${one.code}</code></td>
        <td>${one.message}${Object.entries(one.details ?? {}).map(([key, value]) => html`<div class="quiet">${key}: ${value}</div>`)}</td>
      </tr>`)}</tbody></table></div>`}
    ${quarantined.length > 0 && html`<div class="scroll"><table>
      <caption>${count(quarantined.length, 'image')} quarantined: wanted, and could not be had</caption>
      <thead><tr><th scope="col">Image</th><th scope="col">For</th><th scope="col">Reason</th></tr></thead>
      <tbody>${quarantined.map((/** @type {any} */ one) => html`<tr><th scope="row"><code>${one.origin}</code></th><td>${one.kind}</td><td>${one.reason}</td></tr>`)}</tbody>
    </table></div>`}
  </section>`;
}

/** @param {{ set: any }} props */
function Policies({ set }) {
  const policies = set.policies ?? [];
  if (policies.length === 0) return null;
  const findings = policies.flatMap((/** @type {any} */ policy) => (policy.findings ?? []).map((/** @type {any} */ finding) => ({ policy, finding })));
  return html`<section aria-labelledby="policies-title">
    <h2 id="policies-title">Policies</h2>
    <div class="scroll"><table>
      <caption>How often each was asked, and what it said</caption>
      <thead><tr><th scope="col">Policy</th><th scope="col">Version</th>${['Asked', 'Allowed', 'Warned', 'Denied', 'Failed'].map((head) => html`<th scope="col" class="right">${head}</th>`)}</tr></thead>
      <tbody>${policies.map((/** @type {any} */ policy) => html`<tr><th scope="row">${policy.policy}</th><td>${policy.id} ${policy.version}</td>
        ${[policy.asked, policy.allowed, policy.warned, policy.denied, policy.failed].map((value) => html`<td class="right">${number(value)}</td>`)}</tr>`)}</tbody>
    </table></div>
    ${findings.length > 0 && html`<div class="scroll"><table>
      <caption>All that was no plain yes</caption>
      <thead><tr><th scope="col">Rule</th><th scope="col">Policy</th><th scope="col">Verdict</th><th scope="col">Reason</th><th scope="col">Images</th></tr></thead>
      <tbody>${findings.map((/** @type {any} */ { policy, finding }) => html`<tr><th scope="row"><code>${finding.code}</code></th><td>${policy.policy}</td><td>${finding.verdict}</td>
        <td>${finding.message}</td><td><ul>${finding.images.map((/** @type {string} */ image) => html`<li><code>${image}</code></li>`)}</ul></td></tr>`)}</tbody>
    </table></div>`}
  </section>`;
}

/**
 * Lists what an imageset describes, and what it has as earlier ones describe it, as far as these are there.
 * @param {any} set
 * @param {any[]} sets
 */
function imagesOf(set, sets) {
  const known = new Map();
  for (const earlier of sets) {
    if (earlier.uid !== set.uid || earlier.sequence >= set.sequence) continue;
    for (const image of earlier.images) known.set(`${image.kind} ${image.name}`, image);
  }
  return [
    ...set.images,
    ...(set.unchanged ?? []).map((/** @type {any} */ image) => {
      const found = known.get(`${image.kind} ${image.name}`);
      return { ...image, digest: found?.digest ?? 'as an earlier imageset has it', bytes: found?.bytes, newBytes: 0 };
    }),
  ];
}

/** @param {{ set: any, sets: any[], whole: boolean }} props */
function Images({ set, sets, whole }) {
  const [query, setQuery] = useState('');
  const all = useMemo(() => imagesOf(set, sets), [set, sets]);
  const shown = useMemo(() => {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    return words.length === 0 ? all : all.filter((image) => words.every((word) => `${image.name} ${image.kind} ${image.digest}`.toLowerCase().includes(word)));
  }, [all, query]);
  return html`<section aria-labelledby="images-title">
    <h2 id="images-title">Images</h2>
    <label class="field">Search images <input type="search" value=${query} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} /></label>
    <p class="quiet" role="status">${number(shown.length)} of ${count(all.length, 'image')}</p>
    ${whole ? html`<div class="scroll"><table>
      <caption>Names, digests, and what they take</caption>
      <thead><tr><th scope="col">Image</th><th scope="col">Kind</th><th scope="col">Digest</th><th scope="col" class="right">Size</th><th scope="col" class="right">New here</th></tr></thead>
      <tbody>${shown.map((image) => html`<tr><th scope="row"><code>${image.name}</code></th><td>${image.kind}</td><td><code>${image.digest}</code></td>
        <td class="right">${image.bytes === undefined ? '' : size(image.bytes)}</td><td class="right">${size(image.newBytes)}</td></tr>`)}</tbody>
    </table></div>` : html`<${List} items=${shown} row=${58} label="Images" empty="No image matches." render=${(/** @type {any} */ image) => html`
      <span class="name">${image.name}</span>
      <span class="quiet line"><span>${image.kind}</span> <code>${image.digest}</code></span>
      <span class="quiet line">${image.bytes === undefined ? 'unchanged' : `${size(image.bytes)}, ${size(image.newBytes)} new here`}</span>`} />`}
  </section>`;
}
