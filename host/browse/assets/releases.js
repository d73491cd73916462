// @ts-check
// Releases of OpenShift: the graph of a channel, ways through it, and putting a range into the configuration.

import { useMemo, useState } from 'preact/hooks';
import { ask } from 'oc/api';
import { count } from 'oc/format';
import { Graph } from 'oc/graph';
import { html } from 'oc/html';
import { Failure } from 'oc/imagesets';
import { layoutReleases, paths } from 'oc/layout';
import { List } from 'oc/list';

const ARCHITECTURES = ['amd64', 'arm64', 'ppc64le', 's390x', 'multi'];

/**
 * Returns how opaque each of as many lines is.
 * @param {number} lines
 */
function faint(lines) {
  return Math.max(0.035, Math.min(0.5, 12 / Math.sqrt(lines + 1) / 4));
}

/** @param {{ chosen: any, pick: (pick: object) => void }} props */
export function Releases({ chosen, pick }) {
  const [version, setVersion] = useState('');
  const [architecture, setArchitecture] = useState('amd64');
  const [okd, setOkd] = useState(false);
  const [channel, setChannel] = useState('');
  const [channels, setChannels] = useState(/** @type {string[]} */ ([]));
  const [graph, setGraph] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState('');
  const written = (chosen?.channels ?? []).map((/** @type {any} */ one) => one.name);

  const question = (/** @type {string} */ said, /** @type {Promise<any>} */ answer, /** @type {(found: any) => void} */ then) => {
    setBusy(said);
    setProblem(null);
    answer.then(then, setProblem).finally(() => setBusy(''));
  };
  const find = (/** @type {Event} */ event) => {
    event.preventDefault();
    question(`Looking for channels of ${version}…`, ask('channels', { version: version.trim(), architecture, okd }), (found) => setChannels(found.channels));
  };
  const open = (/** @type {string} */ name) => {
    setChannel(name);
    setGraph(null);
    question(`Reading the graph of ${name}…`, ask('graph', { channel: name, architecture, okd }), (found) => setGraph({ ...found, architecture, okd }));
  };
  const show = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (channel.trim()) open(channel.trim());
  };
  const offered = [...new Set([...written, ...channels])];
  return html`<div class="releases">
    <div class="controls">
      <label class="field">Architecture <select value=${architecture} onChange=${(/** @type {any} */ event) => setArchitecture(event.target.value)}>
        ${ARCHITECTURES.map((one) => html`<option key=${one}>${one}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${okd} onChange=${(/** @type {any} */ event) => setOkd(event.target.checked)} /> OKD</label>
      <form class="field" onSubmit=${find}><label>Version
        <input value=${version} size="6" placeholder="4.20" onInput=${(/** @type {any} */ event) => setVersion(event.target.value)} /></label>
        <button type="submit" disabled=${!version.trim()}>Find its channels</button></form>
      <form class="field" onSubmit=${show}><label>Channel
        <input id="channel" value=${channel} size="14" placeholder="stable-4.20" onInput=${(/** @type {any} */ event) => setChannel(event.target.value)} /></label>
        <button type="submit" class="primary" disabled=${!channel.trim()}>Show</button></form>
    </div>
    ${offered.length > 0 && html`<p class="chips" aria-label="Channels">${offered.map((name) => html`<button key=${name} type="button" aria-pressed=${graph?.channel === name ? 'true' : 'false'} onClick=${() => open(name)}>${name}${written.includes(name) ? html` <span class="badge">in the configuration</span>` : ''}</button>`)}</p>`}
    <p role="status" class=${busy ? '' : 'nothing'}>${busy}</p>
    ${problem && html`<${Failure} problem=${problem} />`}
    ${!graph && !busy && !problem && html`<p class="quiet">Name a channel to see its releases and the updates between them.</p>`}
    ${graph && html`<${ChannelGraph} key=${`${graph.channel} ${graph.architecture} ${graph.okd}`} graph=${graph} pick=${pick}
      written=${(chosen?.channels ?? []).find((/** @type {any} */ one) => one.name === graph.channel)} />`}
  </div>`;
}

/** @param {{ graph: any, written: any, pick: (pick: object) => void }} props */
function ChannelGraph({ graph, written, pick }) {
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const [min, setMin] = useState(written?.minVersion ?? '');
  const [max, setMax] = useState(written?.maxVersion ?? '');
  const [shortest, setShortest] = useState(written?.shortestPath ?? false);
  const [way, setWay] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [query, setQuery] = useState('');

  const layout = useMemo(() => layoutReleases(graph.nodes), [graph]);
  const edges = useMemo(() => [
    // The more there are, the fainter is each, so that what is dense can be told from what is not.
    { class: 'all', d: paths(layout, graph.edges), opacity: faint(graph.edges.length) },
    { class: 'risky', d: paths(layout, graph.conditional), opacity: 2 * faint(graph.conditional.length) },
  ], [layout]);
  const places = useMemo(() => new Map(graph.nodes.map((/** @type {any} */ node, /** @type {number} */ place) => [node.version, place])), [graph]);
  const marked = useMemo(() => {
    if (at === null) return [];
    const touches = (/** @type {number[]} */ edge) => edge[0] === at || edge[1] === at;
    return [
      { class: 'touching', d: paths(layout, graph.edges.filter(touches)) },
      { class: 'touching risky', d: paths(layout, graph.conditional.filter(touches)) },
    ];
  }, [at, layout]);
  const steps = way?.steps ?? [];
  const onWay = useMemo(() => {
    const versions = steps.length > 0 ? [steps[0].from, ...steps.map((/** @type {any} */ step) => step.to)] : [];
    return new Set(/** @type {number[]} */ (versions.map((version) => places.get(version)).filter((place) => place !== undefined)));
  }, [way, places]);
  const wayEdges = steps.map((/** @type {any} */ step) => [places.get(step.from), places.get(step.to)]).filter((/** @type {any[]} */ edge) => !edge.includes(undefined));
  const ends = [places.get(min), places.get(max)].filter((place) => place !== undefined);

  const newest = useMemo(() => [...graph.nodes.keys()].reverse().filter((place) => graph.nodes[place].version.includes(query.trim())), [graph, query]);
  const risks = graph.conditional.filter((/** @type {number[]} */ edge) => edge[0] === at || edge[1] === at);
  const find = () => {
    setProblem(null);
    setWay(null);
    ask('updates', { from: min, to: max, channel: graph.channel, architecture: graph.architecture, okd: graph.okd }).then(setWay, setProblem);
  };
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    pick({
      kind: 'release', channel: graph.channel, minVersion: min, maxVersion: max, shortestPath: shortest,
      architecture: graph.architecture, okd: graph.okd,
    });
  };
  const out = graph.edges.filter((/** @type {number[]} */ edge) => edge[0] === at).length;
  const into = graph.edges.filter((/** @type {number[]} */ edge) => edge[1] === at).length;
  return html`<div>
    <h2>${graph.channel} <span class="quiet">${graph.architecture}</span></h2>
    <p class="quiet" role="status">${count(graph.nodes.length, 'release')}, ${count(graph.edges.length, 'update')}, ${count(graph.conditional.length, 'more update')} with risks</p>
    <form class="picking" onSubmit=${submit}>
      <${Ends} label="From version" value=${min} nodes=${graph.nodes} onChange=${setMin} />
      <${Ends} label="To version" value=${max} nodes=${graph.nodes} onChange=${setMax} />
      <label class="check"><input type="checkbox" checked=${shortest} onChange=${(/** @type {any} */ event) => setShortest(event.target.checked)} /> only what the shortest path needs</label>
      <button type="button" disabled=${!min || !max} onClick=${find}>Find the shortest path</button>
      <button type="submit" class="primary">${written ? 'Change in configuration' : 'Add to configuration'}</button>
    </form>
    <p class="quiet">Without versions the newest of the channel is mirrored.</p>
    ${problem && html`<${Failure} problem=${problem} />`}
    ${way && html`<${Way} way=${way} />`}
    <div class="columns wide">
      <div class="scroll picture" id="release-graph"><${Graph} layout=${layout} edges=${edges} chosen=${at} onChoose=${setAt} way=${new Set([...onWay, ...ends])}
        marked=${[...marked, ...(wayEdges.length ? [{ class: 'on-way', d: paths(layout, wayEdges) }] : [])]}
        label=${`Update graph of ${graph.channel}: ${count(graph.nodes.length, 'release')}, ${count(graph.edges.length, 'update')}. The list of releases says the same.`} /></div>
      <section class="packages" aria-label="Releases">
        <label class="field">Search releases <input type="search" value=${query} onInput=${(/** @type {any} */ event) => setQuery(event.target.value)} /></label>
        <${List} items=${newest} row=${32} label="Releases, the newest first" empty="No release has this in its version." chosen=${(/** @type {number} */ place) => place === at} onChoose=${setAt}
          render=${(/** @type {number} */ place) => html`<span class="name">${graph.nodes[place].version}${onWay.has(place) && html` <span class="badge">on the path</span>`}</span>`} />
        ${at !== null && html`<div class="chosen-release" aria-live="polite">
          <h3>${graph.nodes[at].version}</h3>
          <p>${count(out, 'update')} from it, ${count(into, 'update')} to it, ${count(risks.length, 'update')} with risks.</p>
          <p class="buttons"><button type="button" onClick=${() => setMin(graph.nodes[at].version)}>Begin with it</button>
            <button type="button" onClick=${() => setMax(graph.nodes[at].version)}>End with it</button></p>
          ${graph.nodes[at].payload && html`<p class="quiet"><code>${graph.nodes[at].payload}</code></p>`}
          ${risks.length > 0 && html`<details><summary>Updates with risks</summary><ul>${risks.map((/** @type {number[]} */ edge) => html`<li>
            ${graph.nodes[edge[0]].version} to ${graph.nodes[edge[1]].version}<${Risks} risks=${graph.risks[edge[2]]} /></li>`)}</ul></details>`}
        </div>`}
      </section>
    </div>
  </div>`;
}

/** @param {{ label: string, value: string, nodes: any[], onChange: (value: string) => void }} props */
function Ends({ label, value, nodes, onChange }) {
  return html`<label class="field">${label}
    <input value=${value} size="12" list="release-versions" placeholder="not set" onInput=${(/** @type {any} */ event) => onChange(event.target.value.trim())} />
    ${label.startsWith('From') && html`<datalist id="release-versions">${[...nodes].reverse().map((node) => html`<option key=${node.version} value=${node.version} />`)}</datalist>`}
  </label>`;
}

/** @param {{ risks: any[] }} props */
function Risks({ risks }) {
  return html`<ul>${risks.map((risk) => html`<li><strong>${risk.name}</strong> ${risk.message} ${risk.url && html`<code>${risk.url}</code>`}</li>`)}</ul>`;
}

/** @param {{ way: any }} props */
function Way({ way }) {
  const avoided = way.avoided ?? [];
  return html`<section class="way-told" role="status" aria-label="Shortest path">
    <h3>From ${way.from} to ${way.to}</h3>
    ${way.steps.length === 0 ? html`<p>Nothing to update.</p>` : html`<ol>${way.steps.map((/** @type {any} */ step) => html`<li key=${step.to}>
      ${step.from} to ${step.to}${step.risks?.length > 0 && html`<${Risks} risks=${step.risks} />`}</li>`)}</ol>`}
    ${avoided.length > 0 && html`<details><summary>${count(avoided.length, 'update')} with risks that this path avoids</summary><ul>${avoided.map((/** @type {any} */ step) => html`<li>
      ${step.from} to ${step.to}<${Risks} risks=${step.risks ?? []} /></li>`)}</ul></details>`}
  </section>`;
}
