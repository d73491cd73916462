// @ts-check
// The page: which view is shown, and what all of them share.

import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { get, post } from 'oc/api';
import { Configuration } from 'oc/configuration';
import { html } from 'oc/html';
import { Failure, Imagesets } from 'oc/imagesets';
import { Operators } from 'oc/operators';
import { Releases } from 'oc/releases';

/** How long nobody types before the text is looked at, in milliseconds. */
const PAUSE = 200;

const VIEWS = [
  { name: 'operators', title: 'Operators' },
  { name: 'releases', title: 'Releases' },
  { name: 'configuration', title: 'Configuration' },
  { name: 'imageset', title: 'Imageset' },
];

function viewOf() {
  const name = location.hash.replace(/^#\/?/, '');
  return VIEWS.some((view) => view.name === name) ? name : '';
}

function App() {
  const [state, setState] = useState(/** @type {any} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [view, setView] = useState(viewOf());
  const [text, setText] = useState('');
  const [file, setFile] = useState(/** @type {any} */ (null));
  const [findings, setFindings] = useState(/** @type {any[]} */ ([]));
  const [chosen, setChosen] = useState(/** @type {any} */ (null));
  const [note, setNote] = useState('');
  const [refused, setRefused] = useState(/** @type {any} */ (null));
  const [undo, setUndo] = useState(/** @type {string[]} */ ([]));
  const current = useRef('');
  // What was looked at stays as it was left; what never was asks nobody for anything.
  const visited = useRef(new Set());
  visited.current.add(view);
  current.current = text;

  const load = () => get('/api/state').then((found) => {
    setState(found);
    setFile(found.file);
    setText(found.file?.text ?? '');
    setUndo([]);
    setRefused(null);
    return found;
  });
  useEffect(() => {
    // The token is used up; nothing of it is left in the address.
    if (location.search) history.replaceState(null, '', location.pathname + location.hash);
    const follow = () => {
      setView(viewOf());
      setNote('');
    };
    addEventListener('hashchange', follow);
    load().then((found) => {
      if (!viewOf()) setView(found.imagesets && found.catalogs.length === 0 ? 'imageset' : 'operators');
    }, setProblem);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const isChanged = file !== null && text !== file.text;
  useEffect(() => {
    const warn = (/** @type {BeforeUnloadEvent} */ event) => { if (isChanged) event.preventDefault(); };
    addEventListener('beforeunload', warn);
    return () => removeEventListener('beforeunload', warn);
  }, [isChanged]);
  useEffect(() => {
    const timer = setTimeout(() => {
      post('/api/lint', { text }).then((answer) => {
        if (current.current !== text) return;
        setFindings(answer.findings);
        // While something is wrong, what was last known is still the best to show.
        if (answer.chosen !== null || text.trim() === '') setChosen(answer.chosen);
      }, setRefused);
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [text]);

  const pick = (/** @type {object} */ what) => {
    const before = text;
    setRefused(null);
    post('/api/pick', { text, pick: what }).then((answer) => {
      setText(answer.text);
      if (answer.text !== before) setUndo((/** @type {string[]} */ known) => [...known, before]);
      const told = [answer.text === before ? 'The configuration has it already.' : 'The configuration has it now.', ...answer.notes.map((/** @type {string} */ one) => `Note: ${one}.`)];
      if (!answer.kept) told.push('Note: the text was written anew, without its comments.');
      setNote(told.join(' '));
    }, (error) => { setNote(''); setRefused(error); });
  };
  const save = () => {
    const saved = text;
    setRefused(null);
    post('/api/save', { text: saved, digest: file.digest }).then((answer) => {
      setFile({ ...file, text: saved, digest: answer.digest });
      setNote('Saved.');
    }, (error) => { setNote(''); setRefused(error); });
  };
  const reload = () => {
    if (isChanged && !confirm('What was changed here is lost. Load the file again?')) return;
    load().then(() => setNote('Loaded.'), setRefused);
  };
  const takeBack = () => {
    setText(undo[undo.length - 1]);
    setUndo(undo.slice(0, -1));
    setNote('The last pick is undone.');
  };

  if (problem) return html`<main><${Failure} problem=${problem} /></main>`;
  if (!state) return html`<main><p role="status">Loading…</p></main>`;
  const views = VIEWS.filter((one) => one.name !== 'imageset' || state.imagesets);
  const title = VIEWS.find((one) => one.name === view)?.title ?? 'Operators';
  document.title = `${title} · oc-mirror browse`;
  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>Skip to the content</a>
    <header>
      <p class="brand">oc-mirror <span class="quiet">${state.version}</span></p>
      <nav aria-label="Views"><ul>${views.map((one) => html`<li key=${one.name}><a href=${`#/${one.name}`} aria-current=${one.name === view ? 'page' : undefined}>${one.title}${one.name === 'configuration' && isChanged ? html`<span class="badge">changed</span>` : ''}</a></li>`)}</ul></nav>
    </header>
    <div class=${`views view-${view}`}>
      <main id="main" tabindex="-1" aria-label=${title}>
        ${(note || refused) && html`<div class="narrow">${refused ? html`<${Failure} problem=${refused} />` : html`<p role="status" class="told">${note} <a href="#/configuration">Look at it</a></p>`}</div>`}
        <h1 class=${view === 'configuration' ? 'nothing' : ''}>${title}</h1>
        ${visited.current.has('operators') && html`<div hidden=${view !== 'operators'}><${Operators} catalogs=${state.catalogs} chosen=${chosen} pick=${pick} /></div>`}
        ${visited.current.has('releases') && html`<div hidden=${view !== 'releases'}><${Releases} chosen=${chosen} pick=${pick} /></div>`}
        ${view === 'imageset' && html`<${Imagesets} />`}
      </main>
      <aside aria-label="Configuration"><${Configuration} text=${text} file=${file} findings=${findings} isChanged=${isChanged} note=${note} problem=${refused}
        canUndo=${undo.length > 0} onText=${setText} onSave=${save} onReload=${reload} onUndo=${takeBack} /></aside>
    </div>`;
}

const page = document.getElementById('page');
if (page) render(html`<${App} />`, page);
