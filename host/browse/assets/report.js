// @ts-check
// A report: the page of an imageset, with what the report itself has of it. It asks nobody for anything.

import { render } from 'preact';
import { html } from 'oc/html';
import { ImagesetPage } from 'oc/imagesets';

const page = document.getElementById('page');
const data = document.getElementById('data');
if (page && data) {
  const { made, program, sets } = JSON.parse(data.textContent ?? '');
  render(html`<main class="report">
    <h1>What these imagesets hold</h1>
    <p class="quiet">Made ${made} by ${program}.</p>
    <${ImagesetPage} sets=${sets} whole=${true} />
  </main>`, page);
}
