// @ts-check
// Catalogs: searching packages, the channels and versions of one, and putting it into the configuration.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ask } from 'oc/api';
import { count, number, size } from 'oc/format';
import { Graph } from 'oc/graph';
import { html } from 'oc/html';
import { Failure } from 'oc/imagesets';
import { channelPaths, layoutChannel } from 'oc/layout';
import { List } from 'oc/list';

/**
 * Keeps of packages those that have every word of a query in their names.
 * @param {{ words: string }[]} packages
 * @param {string} query
 */
export function matching(packages, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return packages;
  return packages.filter((one) => words.every((word) => one.words.includes(word)));
}

/** @param {{ catalogs: string[], chosen: any, pick: (pick: object) => void }} props */
export function Operators({ catalogs, chosen, pick }) {
  const [named, setNamed] = useState(/** @type {string[]} */ ([]));
  const [catalog, setCatalog] = useState(catalogs[0] ?? '');
  const [typed, setTyped] = useState('');
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [query, setQuery] = useState('');
  const [name, setName] = useState('');

  const load = (/** @type {boolean} */ refresh) => {
    if (!catalog) return undefined;
    let isCurrent = true;
    setFound(null);
    setProblem(null);
    setName('');
    ask('catalog', { catalog, refresh }).then(
      (answer) => {
        if (!isCurrent) return;
        for (const one of answer.packages) one.words = `${one.name} ${one.displayName ?? ''}`.toLowerCase();
        setFound(answer);
      },
      (error) => isCurrent && setProblem(error),
    );
    return () => { isCurrent = false; };
  };
  useEffect(() => load(false), [catalog]);

  // A package of one catalog is not asked for in another.
  const change = (/** @type {string} */ to) => {
    if (to === catalog) return;
    setFound(null);
    setName('');
    setCatalog(to);
  };
  const packages = useMemo(() => matching(found?.packages ?? [], query), [found, query]);
  const all = [...new Set([...catalogs, ...named])];
  const inCatalog = chosen?.operators?.find((/** @type {any} */ one) => one.catalog === catalog);
  const wanted = new Set((inCatalog?.packages ?? []).map((/** @type {any} */ one) => one.name));
  const add = (/** @type {Event} */ event) => {
    event.preventDefault();
    const reference = typed.trim();
    if (!reference) return;
    setNamed([...named, reference]);
    change(reference);
    setTyped('');
  };
  return html`<div class="operators">
    <div class="controls">
      ${all.length > 0 && html`<label class="field">Catalog
        <select value=${catalog} onChange=${(/** @type {any} */ event) => change(event.target.value)}>
          ${all.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
        </select></label>`}
      <form class="field" onSubmit=${add}><label>Another catalog
        <input value=${typed} placeholder="registry.redhat.io/redhat/redhat-operator-index:v4.20" onInput=${(/** @type {any} */ event) => setTyped(event.target.value)} /></label>
        <button type="submit">Open</button></form>
    </div>
    ${!catalog && html`<p>Name a catalog to see what is in it: <code>HOST/PATH:TAG</code>, <code>HOST/PATH@sha256:…</code> or <code>oci://DIR</code>.</p>`}
    ${problem && html`<${Failure} problem=${problem} />`}
    ${catalog && !found && !problem && html`<p role="status" aria-busy="true">Reading ${catalog}. The first time it is fetched, which can take minutes.</p>`}
    ${found && html`<div class="columns">
      <section class="packages" aria-label="Packages">
        <label class="field">Search packages
          <input type="search" id="package-search" value=${query} autocomplete="off" onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} /></label>
        <p class="quiet" role="status" aria-live="polite" id="package-count">${number(packages.length)} of ${count(found.packages.length, 'package')}</p>
        <${List} items=${packages} row=${46} label="Packages" empty="No package has these words." onChoose=${(/** @type {any} */ one) => setName(one.name)}
          chosen=${(/** @type {any} */ one) => one.name === name} render=${(/** @type {any} */ one) => html`
          <span class="name">${one.name}${wanted.has(one.name) && html` <span class="badge">in the configuration</span>`}</span>
          <span class="quiet line">${one.displayName ?? ''}${one.displayName ? ', ' : ''}${one.defaultChannel}</span>`} />
        ${found.remembered && html`<p class="quiet">As of ${found.lookedUp}. <button type="button" class="link" onClick=${() => load(true)}>Look it up again</button></p>`}
      </section>
      <section class="details" aria-label="Package">
        ${name ? html`<${Package} key=${`${catalog} ${name}`} catalog=${catalog} name=${name} has=${(/** @type {string} */ other) => found.packages.some((/** @type {any} */ one) => one.name === other)}
          wanted=${(inCatalog?.packages ?? []).find((/** @type {any} */ one) => one.name === name)} show=${setName} pick=${pick} />`
        : html`<p class="quiet">Choose a package to see its channels.</p>`}
      </section>
    </div>`}
  </div>`;
}

/**
 * @param {{ catalog: string, name: string, wanted: any, has: (name: string) => boolean, show: (name: string) => void, pick: (pick: object) => void }} props
 */
function Package({ catalog, name, wanted, has, show, pick }) {
  const [details, setDetails] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [channelName, setChannelName] = useState('');
  const [min, setMin] = useState('');
  const [max, setMax] = useState('');
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  useEffect(() => {
    let isCurrent = true;
    ask('details', { catalog, package: name }).then(
      (answer) => {
        if (!isCurrent) return;
        setDetails(answer);
        const names = answer.channels.map((/** @type {any} */ one) => one.name);
        const first = wanted?.channels?.[0]?.name;
        setChannelName(names.includes(first) ? first : names.includes(answer.defaultChannel) ? answer.defaultChannel : names[0] ?? '');
      },
      (error) => isCurrent && setProblem(error),
    );
    return () => { isCurrent = false; };
  }, []);
  const channel = details?.channels.find((/** @type {any} */ one) => one.name === channelName);
  // What is written of the channel is where changes begin.
  useEffect(() => {
    const written = wanted?.channels?.find((/** @type {any} */ one) => one.name === channelName);
    setMin(written?.minVersion ?? '');
    setMax(written?.maxVersion ?? '');
    setAt(null);
  }, [channelName]);
  const entries = channel?.entries ?? [];
  const layout = useMemo(() => layoutChannel(entries, channel?.head), [channel]);
  const edges = useMemo(() => [
    { class: 'skips', d: channelPaths(layout, layout.edges.filter((edge) => edge.kind === 'skips')) },
    { class: 'replaces', d: channelPaths(layout, layout.edges.filter((edge) => edge.kind === 'replaces')) },
  ], [layout]);
  if (problem) return html`<${Failure} problem=${problem} />`;
  if (!details) return html`<p role="status" aria-busy="true">Reading ${name}…</p>`;

  const bundle = (/** @type {string} */ wantedName) => details.bundles.find((/** @type {any} */ one) => one.name === wantedName);
  const shown = bundle(at === null ? channel?.head : entries[at]?.name);
  const versions = entries.map((/** @type {any} */ entry) => entry.version).filter(Boolean).reverse();
  const writtenChannel = wanted?.channels?.find((/** @type {any} */ one) => one.name === channelName);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    pick({ kind: 'operator', catalog, package: name, channel: channelName || null, minVersion: min, maxVersion: max });
  };
  return html`<article>
    <h2>${details.displayName ?? name}${details.deprecated && html` <span class="badge">deprecated</span>`}</h2>
    <p class="quiet" role="status"><code>${name}</code>, ${count(details.channels.length, 'channel')}, ${count(details.bundles.length, 'version')}</p>
    <form class="picking" onSubmit=${submit}>
      <label class="field">Channel <select value=${channelName} onChange=${(/** @type {any} */ event) => setChannelName(event.target.value)}>
        ${details.channels.map((/** @type {any} */ one) => html`<option key=${one.name} value=${one.name}>${one.name}${one.name === details.defaultChannel ? ' (default)' : ''}${one.deprecated ? ' (deprecated)' : ''}</option>`)}
      </select></label>
      <${Version} label="From version" value=${min} versions=${versions} empty="not set" onChange=${setMin} />
      <${Version} label="To version" value=${max} versions=${versions} empty="not set" onChange=${setMax} />
      <button type="submit" class="primary">${writtenChannel ? 'Change in configuration' : 'Add to configuration'}</button>
    </form>
    <p class="quiet">Without versions the newest of the channel is mirrored.</p>
    ${channel?.note && html`<p class="quiet">The channel has ${channel.note}.</p>`}
    <h3>Updates in ${channelName}</h3>
    <p class="quiet legend"><span class="line-replaces"></span> replaces <span class="line-skips"></span> skips. The newest is on top.</p>
    <div class="channel scroll" tabindex="0" role="region" aria-label="Versions of the channel">
      <${Graph} layout=${layout} side="right" edges=${edges} marked=${[]} way=${new Set()} chosen=${at} onChoose=${setAt}
        label=${`Update graph of ${channelName}: ${count(entries.length, 'version')}, ${count(layout.edges.length, 'update')}. The list beside it says the same.`} />
      <ol class="versions" reversed>
        ${[...entries.keys()].reverse().map((place) => {
          const entry = entries[place];
          const told = [
            entry.replaces && `replaces ${entry.replaces}`,
            entry.skips && `skips ${entry.skips.join(', ')}`,
            entry.skipRange && `skips ${entry.skipRange}`,
          ].filter(Boolean).join('; ');
          return html`<li key=${entry.name}><button type="button" class="link" aria-pressed=${at === place ? 'true' : 'false'} title=${`${entry.name}${told ? `: ${told}` : ''}`} onClick=${() => setAt(place)}>
            ${entry.version ?? entry.name}</button>${entry.name === channel?.head && html` <span class="badge">head</span>`}${bundle(entry.name)?.deprecated && html` <span class="badge">deprecated</span>`}
            <span class="quiet">${told}</span></li>`;
        })}
      </ol>
    </div>
    ${shown && html`<${Bundle} bundle=${shown} details=${details} />`}
    <${Needs} details=${details} name=${name} has=${has} show=${show} />
  </article>`;
}

/** @param {{ label: string, value: string, versions: string[], empty: string, onChange: (value: string) => void }} props */
function Version({ label, value, versions, empty, onChange }) {
  const all = value && !versions.includes(value) ? [value, ...versions] : versions;
  return html`<label class="field">${label} <select value=${value} onChange=${(/** @type {any} */ event) => onChange(event.target.value)}>
    <option value="">${empty}</option>
    ${all.map((version) => html`<option key=${version} value=${version}>${version}</option>`)}
  </select></label>`;
}

/** @param {{ bundle: any, details: any }} props */
function Bundle({ bundle, details }) {
  const [measured, setMeasured] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [isBusy, setBusy] = useState(false);
  const current = useRef(bundle.name);
  current.current = bundle.name;
  useEffect(() => { setMeasured(null); setProblem(null); setBusy(false); }, [bundle.name]);
  const images = [...new Set([bundle.image, ...bundle.images].filter(Boolean))];
  const measure = () => {
    const name = bundle.name;
    setBusy(true);
    setProblem(null);
    ask('sizes', { images }).then(
      (answer) => { if (current.current === name) { setMeasured(answer); setBusy(false); } },
      (error) => { if (current.current === name) { setProblem(error); setBusy(false); } },
    );
  };
  return html`<section aria-label=${`Version ${bundle.name}`}>
    <h3>${bundle.name}</h3>
    <p>${count(images.length, 'image')}${measured && html`, <strong>${size(measured.bytes)}</strong>${measured.images < images.length ? ` in the ${number(measured.images)} that could be measured` : ' for all platforms, each layer once'}`}
      ${!measured && images.length > 0 && html` <button type="button" disabled=${isBusy} onClick=${measure}>${isBusy ? 'Measuring…' : 'Measure their size'}</button>`}</p>
    ${problem && html`<${Failure} problem=${problem} />`}
    ${measured && measured.failed.length > 0 && html`<details><summary>${count(measured.failed.length, 'image')} could not be measured</summary>
      <ul>${measured.failed.map((/** @type {any} */ one) => html`<li><code>${one.image}</code> ${one.reason}</li>`)}</ul></details>`}
    <details><summary>Images of this version</summary><ul>${images.map((image) => html`<li><code>${image}</code></li>`)}</ul></details>
    ${bundle.requires.length > 0 && html`<p>It needs:</p><ul>${bundle.requires.map((/** @type {string} */ one) => html`<li>${one}</li>`)}</ul>`}
  </section>`;
}

/** @param {{ details: any, name: string, has: (name: string) => boolean, show: (name: string) => void }} props */
function Needs({ details, name, has, show }) {
  const apis = Object.entries(details.providers).map(([api, by]) => ({ api, by: /** @type {string[]} */ (by).filter((one) => one !== name) }));
  const packages = details.needs.filter((/** @type {string} */ one) => one !== name);
  if (apis.length === 0 && packages.length === 0) return html`<p class="quiet">No version needs another package.</p>`;
  const link = (/** @type {string} */ other) => (has(other)
    ? html`<button type="button" class="link" onClick=${() => show(other)}>${other}</button>`
    : html`<span>${other} (not in this catalog)</span>`);
  return html`<section aria-label="Dependencies">
    <h3>Packages that its versions need</h3>
    <ul>
      ${packages.map((/** @type {string} */ one) => html`<li key=${one}>${link(one)}</li>`)}
      ${apis.map(({ api, by }) => html`<li key=${api}>${api}: ${by.length === 0 ? 'no other package of this catalog provides it' : by.map((one, place) => [place > 0 ? ', ' : '', link(one)])}</li>`)}
    </ul>
  </section>`;
}
