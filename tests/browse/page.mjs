// The page of `oc-mirror browse` in Chromium, as people use it. `tests/it/browse.rs` starts the program and says in a file what is
// where; this fails with what is not as it should be.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const what = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { chromium } = createRequire(join(what.modules, 'none.js'))('playwright-core');

/** What is promised: how long a graph takes to be drawn, and a keystroke to be followed, in milliseconds. */
const GRAPH = 1000;
const KEYSTROKE = 50;

const browser = await chromium.launchPersistentContext(what.profile, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  viewport: { width: 1280, height: 900 },
  colorScheme: 'light',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync',
  ],
});
const asked = [];
const complaints = [];
browser.on('request', (request) => asked.push(request.url()));
browser.on('response', (response) => {
  // Whoever is let in is refused nothing, and the page asks for nothing that is not there.
  if (response.status() >= 400) complaints.push(`${response.status()} for ${response.url()} ${response.request().postData() ?? ''}`);
});
browser.on('weberror', (error) => complaints.push(String(error.error())));
browser.on('console', (message) => {
  if (['error', 'warning'].includes(message.type())) complaints.push(`${message.text()} at ${message.location().url}`);
});

const steps = [];
const step = (name, work) => steps.push({ name, work });
const page = browser.pages()[0] ?? (await browser.newPage());
page.setDefaultTimeout(30_000);
const shot = (name) => page.screenshot({ path: join(what.shots, `${name}.png`) });
const view = (name) => page.getByRole('navigation').getByRole('link', { name }).click();
const text = () => page.getByLabel('Text of the configuration');
const said = () => page.locator('#finding-count');

step('without the token nothing is served', async () => {
  const origin = new URL(what.url).origin;
  for (const path of ['/', '/app.js', '/api/state']) {
    // Not the browser's own request, which may bring the cookie.
    const answer = await fetch(origin + path);
    assert.equal(answer.status, 403, path);
  }
});

step('the token lets in once, and leaves the address', async () => {
  await page.goto(what.url);
  await page.getByRole('heading', { name: 'Operators' }).waitFor();
  assert.equal(new URL(page.url()).search, '');
  await page.reload();
  await page.getByRole('heading', { name: 'Operators' }).waitFor();
  const again = await fetch(what.url);
  assert.equal(again.status, 403);
});

step('a real catalog: a package, its channel as a picture, into the configuration', async () => {
  await page.getByRole('combobox', { name: 'Catalog', exact: true }).selectOption(what.real.catalog);
  await page.locator('#package-count').getByText(`of ${what.real.packages} packages`).waitFor({ timeout: 120_000 });
  await page.getByLabel('Search packages').fill('operator');
  const list = page.getByRole('listbox', { name: 'Packages' });
  const first = list.getByRole('option').first();
  await first.waitFor();
  await page.getByLabel('Search packages').fill('');
  // By keys alone.
  await list.focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  const details = page.getByRole('region', { name: 'Package', exact: true });
  const picture = details.getByRole('img', { name: /^Update graph of .*: \d/ });
  await picture.waitFor();
  const nodes = await picture.locator('.node').count();
  assert.equal(nodes, await details.locator('.versions li').count());
  assert.ok(nodes > 0);
  await details.getByRole('button', { name: 'Add to configuration' }).click();
  await page.getByText('The configuration has it now.').filter({ visible: true }).waitFor();
  const now = await text().inputValue();
  assert.ok(now.includes(`- catalog: ${what.real.catalog}`) && now.includes('# Pinned.'), now);
  await page.locator('.badge', { hasText: 'in the configuration' }).filter({ visible: true }).first().waitFor();
  await shot('package-1280-light');
});

/** Measures in the page how long it takes from a keystroke to the frame in which the list is another one. */
const keystroke = (word) => page.evaluate(async (typed) => {
  const input = document.getElementById('package-search');
  const count = document.getElementById('package-count');
  const before = count.textContent;
  const begun = performance.now();
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, typed);
  input.dispatchEvent(new Event('input', { bubbles: true }));
  while (count.textContent === before) await new Promise((done) => { setTimeout(done, 0); });
  // Layout belongs to it.
  document.querySelector('.operators .list').getBoundingClientRect();
  return performance.now() - begun;
}, word);

step(`5,000 packages are filtered in under ${KEYSTROKE} ms a keystroke`, async () => {
  await page.getByRole('combobox', { name: 'Catalog', exact: true }).selectOption(what.large.catalog);
  await page.locator('#package-count').getByText('of 5,000 packages').waitFor({ timeout: 120_000 });
  const rows = await page.getByRole('listbox', { name: 'Packages' }).getByRole('option').count();
  assert.ok(rows > 5 && rows < 60, `${rows} rows are in the document`);
  const word = what.large.word;
  const rounds = [];
  for (let round = 0; round < 3; round += 1) {
    const times = [];
    for (let end = 1; end <= word.length; end += 1) {
      // A word that narrows nothing further changes no list, so each is preceded by one with no match.
      await keystroke('no such package');
      times.push(await keystroke(word.slice(0, end)));
    }
    rounds.push(Math.max(...times));
    await keystroke('no such package');
    await keystroke('');
  }
  const best = Math.min(...rounds);
  console.log(`slowest keystroke of a round: ${rounds.map((time) => time.toFixed(1)).join(', ')} ms`);
  assert.ok(best < KEYSTROKE, `${best} ms`);
  await page.getByLabel('Search packages').fill(word);
  await page.locator('#package-count').getByText('1 of 5,000 packages').waitFor();
});

step('the graph of a real channel, and the shortest path through it', async () => {
  await view('Releases');
  await page.getByLabel('Channel', { exact: true }).fill(what.graph.channel);
  await page.getByRole('button', { name: 'Show', exact: true }).click();
  const picture = page.getByRole('img', { name: /^Update graph of/ }).filter({ visible: true });
  await picture.waitFor({ timeout: 60_000 });
  assert.equal(await picture.locator('.node').count(), what.graph.releases);
  await page.getByLabel('From version').filter({ visible: true }).fill('4.6.12');
  await page.getByLabel('To version').filter({ visible: true }).fill('4.7.55');
  await page.getByRole('button', { name: 'Find the shortest path' }).click();
  const way = page.getByRole('status', { name: 'Shortest path' });
  await way.getByRole('listitem').first().waitFor();
  assert.ok((await picture.locator('.edge.on-way').count()) === 1);
  await picture.locator('.node').nth(40).locator('circle').click();
  await page.getByRole('button', { name: 'Begin with it' }).waitFor();
  await shot('path-1280-light');
  await page.getByRole('button', { name: 'Add to configuration' }).filter({ visible: true }).click();
  await page.waitForFunction((name) => document.querySelector('textarea').value.includes(`- name: ${name}`), what.graph.channel);
  await page.getByRole('button', { name: 'Change in configuration' }).filter({ visible: true }).waitFor();
});

step(`a graph of 1,085 releases is drawn in under ${GRAPH} ms`, async () => {
  const times = [];
  for (let round = 0; round < 3; round += 1) {
    await page.getByLabel('Channel', { exact: true }).fill(what.graph.channel);
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    await page.getByRole('heading', { name: what.graph.channel }).waitFor();
    await page.getByLabel('Channel', { exact: true }).fill(what.largeGraph.channel);
    const answered = page.evaluate(() => new Promise((done) => {
      // From the moment the answer is there, until the browser has painted.
      const json = Response.prototype.json;
      Response.prototype.json = async function read() {
        const found = await json.call(this);
        Response.prototype.json = json;
        const begun = performance.now();
        const look = () => {
          if (document.querySelectorAll('#release-graph .node').length < 1000) return setTimeout(look, 0);
          return requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun), 0));
        };
        setTimeout(look, 0);
        return found;
      };
    }));
    await page.getByRole('button', { name: 'Show', exact: true }).click();
    times.push(await answered);
  }
  const picture = page.getByRole('img', { name: /^Update graph of large/ });
  assert.equal(await picture.locator('.node').count(), what.largeGraph.releases);
  console.log(`drawn in: ${times.map((time) => time.toFixed(0)).join(', ')} ms`);
  assert.ok(Math.min(...times) < GRAPH, `${Math.min(...times)} ms`);
  await shot('graph-1280-light');
});

step('the text is looked at while it is written, findings lead to their place, and it is saved', async () => {
  await view('Configuration');
  const good = await text().inputValue();
  await text().fill(good.replace('archiveSize: 4', 'archiveSize: four'));
  await said().getByText('1 error').waitFor();
  const findings = page.getByRole('list', { name: 'Findings' });
  const place = findings.getByRole('button', { name: /^3:/ }).first();
  await place.click();
  const selected = await text().evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
  assert.equal(selected, 'four');
  await shot('findings-1280-light');
  await text().fill(good);
  await page.waitForFunction(() => !document.querySelector('#finding-count').textContent.includes('error'));
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Saved.', { exact: true }).filter({ visible: true }).waitFor();
  assert.equal(readFileSync(what.config, 'utf8'), good);
});

step('imagesets: what they hold, what takes the room, what was blocked, how the chain grew', async () => {
  await view('Imageset');
  await page.getByRole('img', { name: /^What is new in imageset 2, by size: additional/ }).waitFor();
  const chain = page.getByRole('table', { name: 'What each imageset brings, and what it builds on' });
  assert.equal(await chain.getByRole('row').count(), 3);
  const blocked = page.getByRole('table', { name: '1 image refused by policies' });
  assert.ok((await blocked.textContent()).includes(what.blocked));
  await shot('chain-1280-light');
  await chain.getByRole('button', { name: '1' }).click();
  await page.getByRole('heading', { name: 'Imageset 1' }).waitFor();
  const tiles = await page.getByRole('img', { name: /^What is new in imageset 1/ }).locator('title').allTextContents();
  for (const name of ['foo: ', 'bar: ', 'shared by operators']) {
    assert.ok(tiles.some((tile) => tile.startsWith(name)), `${name} in ${tiles}`);
  }
});

step('areas of a treemap are as the values say, and do not overlap', async () => {
  const found = await page.evaluate(async () => {
    const { squarify } = await import('/squarify.js');
    const values = [500, 300, 120, 60, 15, 4, 1, 0];
    return squarify(values, (value) => value, { x: 10, y: 20, width: 400, height: 250 });
  });
  assert.deepEqual(found.map(({ item }) => item), [500, 300, 120, 60, 15, 4, 1]);
  for (const { item, box } of found) {
    assert.ok(Math.abs(box.width * box.height - item * 100) < 0.01, `${item}: ${box.width} by ${box.height}`);
    assert.ok(box.x >= 10 && box.y >= 20 && box.x + box.width <= 410.001 && box.y + box.height <= 270.001);
    for (const { item: other, box: beside } of found) {
      const apart = box.x + box.width <= beside.x + 0.001 || beside.x + beside.width <= box.x + 0.001
        || box.y + box.height <= beside.y + 0.001 || beside.y + beside.height <= box.y + 0.001;
      assert.ok(other === item || apart, `${item} and ${other}`);
    }
  }
});

step('narrow and dark', async () => {
  for (const width of [1280, 420]) {
    await page.setViewportSize({ width, height: 900 });
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      for (const name of ['Operators', 'Releases', 'Configuration', 'Imageset']) {
        await view(name);
        await page.waitForTimeout(100);
        // Nothing is wider than the window: only boxes of their own scroll sideways.
        const [all, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(all <= seen, `${name} at ${width}: ${all} pixels`);
        await shot(`${name.toLowerCase()}-${width}-${colorScheme}`);
      }
    }
  }
});

step('everything can be named and reached', async () => {
  await page.setViewportSize({ width: 1280, height: 900 });
  for (const name of ['Operators', 'Releases', 'Configuration', 'Imageset']) {
    await view(name);
    const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, a[href], [role=listbox], svg[role=img]')]
      .filter((element) => element.checkVisibility())
      .filter((element) => !(element.getAttribute('aria-label') || element.labels?.length || element.textContent.trim()))
      .map((element) => element.outerHTML.slice(0, 120)));
    assert.deepEqual(nameless, [], name);
    const headings = await page.locator('h1').filter({ visible: true }).count();
    assert.ok(headings <= 1, `${headings} first headings`);
  }
  await view('Operators');
  await page.locator('body').press('Tab');
  const focused = new Set();
  for (let press = 0; press < 40; press += 1) {
    await page.keyboard.press('Tab');
    focused.add(await page.evaluate(() => document.activeElement?.tagName + (document.activeElement?.getAttribute('aria-label') ?? '')));
  }
  assert.ok(focused.has('DIVPackages') && focused.has('TEXTAREAText of the configuration'), [...focused].join(' '));
});

step('a report is one page, which needs nothing else', async () => {
  const report = await browser.newPage();
  const urls = [];
  report.on('request', (request) => urls.push(request.url()));
  await report.goto(`file://${what.report}`);
  await report.getByRole('heading', { name: 'What these imagesets hold' }).waitFor();
  await report.getByRole('img', { name: /^What is new in imageset 2/ }).waitFor();
  const images = report.getByRole('table', { name: 'Names, digests, and what they take' });
  // Those of the imageset before it too.
  assert.equal(await images.getByText(/^sha256:[0-9a-f]{64}$/).count(), 9);
  assert.ok((await report.getByRole('table', { name: '1 image refused by policies' }).textContent()).includes(what.blocked));
  assert.deepEqual(urls.filter((url) => !url.startsWith('data:')), [`file://${what.report}`]);
  for (const colorScheme of ['light', 'dark']) {
    await report.emulateMedia({ colorScheme });
    await report.screenshot({ path: join(what.shots, `report-${colorScheme}.png`), fullPage: true });
  }
  await report.close();
});

step('no request has left this machine, and nothing was complained about', async () => {
  const away = asked.filter((url) => !['127.0.0.1', 'localhost'].includes(new URL(url).hostname) && !/^(data|blob|file):/.test(url));
  assert.deepEqual(away, []);
  assert.ok(asked.length > 20);
  assert.deepEqual(complaints, []);
});

let failed = '';
for (const { name, work } of steps) {
  try {
    await work();
    console.log(`ok: ${name}`);
  } catch (error) {
    failed = `${name}: ${error.stack}`;
    await shot('failed').catch(() => {});
    break;
  }
}
await browser.close();
if (failed) {
  console.error(failed);
  console.error(complaints.join('\n'));
  process.exit(1);
}
