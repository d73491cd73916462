// @ts-check
// Where the nodes of graphs are drawn. Pure functions, in linear time but for sorting.

/**
 * @typedef {{ id: number, x: number, y: number, label: string, title: string }} Node
 * @typedef {{ width: number, height: number, nodes: Node[], lanes: { y: number, label: string }[] }} Layout
 */

const STEP = 30;
const LANE = 64;
const LEFT = 64;
const TOP = 48;

/**
 * Lays out releases, which are sorted by ascending version: a lane for each minor version, the newest on top, and in it the
 * versions from left to right.
 * @param {{ version: string }[]} releases
 * @returns {Layout}
 */
export function layoutReleases(releases) {
  /** @type {Map<string, number[]>} */
  const lanes = new Map();
  releases.forEach((release, place) => {
    const name = release.version.split('.', 2).join('.');
    const lane = lanes.get(name);
    if (lane) lane.push(place);
    else lanes.set(name, [place]);
  });
  const names = [...lanes.keys()].reverse();
  /** @type {Node[]} */
  const nodes = new Array(releases.length);
  let longest = 0;
  names.forEach((name, at) => {
    const lane = lanes.get(name) ?? [];
    longest = Math.max(longest, lane.length);
    lane.forEach((place, column) => {
      const { version } = releases[place];
      nodes[place] = {
        id: place,
        x: LEFT + column * STEP + STEP / 2,
        y: TOP + at * LANE,
        label: short(version.slice(name.length + 1)),
        title: version,
      };
    });
  });
  return {
    width: LEFT + longest * STEP + STEP,
    height: TOP + names.length * LANE,
    nodes,
    lanes: names.map((label, at) => ({ y: TOP + at * LANE, label })),
  };
}

/**
 * Writes what follows the minor version in the room there is: `12`, `rc.3`.
 * @param {string} rest
 */
function short(rest) {
  const bare = rest.split('+')[0].replace(/^0-(?:0\.)?/, '');
  return bare.length <= 5 ? bare : `${bare.slice(0, 4)}…`;
}

/**
 * Draws updates between places: in a lane as arcs above it, between lanes as lines.
 * @param {Layout} layout
 * @param {Iterable<ArrayLike<number>>} edges
 */
export function paths(layout, edges) {
  const parts = [];
  for (const edge of edges) {
    const from = layout.nodes[edge[0]];
    const to = layout.nodes[edge[1]];
    if (!from || !to) continue;
    if (from.y === to.y) {
      const rise = 4 + LANE * 0.85 * (1 - Math.exp(-Math.abs(to.x - from.x) / 500));
      parts.push(`M${from.x} ${from.y}Q${(from.x + to.x) / 2} ${from.y - rise} ${to.x} ${to.y}`);
    } else {
      parts.push(`M${from.x} ${from.y}L${to.x} ${to.y}`);
    }
  }
  return parts.join('');
}

/**
 * @typedef {{ name: string, version?: string | null, replaces?: string, skips?: string[], skipRange?: string }} Entry
 * @typedef {{ from: number, to: number, kind: 'replaces' | 'skips' }} Edge
 */

const ROW = 30;
const COLUMN = 22;

/**
 * Lays out the entries of a channel, which are sorted by ascending version: the newest on top, those that its chain of
 * `replaces` leads through in one lane, the others beside it.
 * @param {Entry[]} entries
 * @param {string | undefined} head
 * @returns {Layout & { edges: Edge[], chain: Set<string> }}
 */
export function layoutChannel(entries, head) {
  const places = new Map(entries.map((entry, place) => [entry.name, place]));
  /** @type {Edge[]} */
  const edges = [];
  entries.forEach((entry, to) => {
    const from = entry.replaces === undefined ? undefined : places.get(entry.replaces);
    if (from !== undefined) edges.push({ from, to, kind: 'replaces' });
    for (const name of entry.skips ?? []) {
      const skipped = places.get(name);
      if (skipped !== undefined && skipped !== from) edges.push({ from: skipped, to, kind: 'skips' });
    }
  });
  /** @type {Set<string>} */
  const chain = new Set();
  let next = head;
  // A chain that bites its own tail ends where it begins.
  while (next !== undefined && places.has(next) && !chain.has(next)) {
    chain.add(next);
    next = entries[/** @type {number} */ (places.get(next))].replaces;
  }
  const nodes = entries.map((entry, place) => ({
    id: place,
    x: chain.has(entry.name) ? COLUMN : COLUMN * 2,
    y: ROW / 2 + (entries.length - 1 - place) * ROW,
    label: entry.version ?? entry.name,
    title: entry.name,
  }));
  const widest = Math.max(COLUMN * 2, ...nodes.map((node) => node.x), ...edges.map(({ from, to }) => swing(nodes[from], nodes[to])));
  return { width: widest + 14, height: entries.length * ROW, nodes, lanes: [], edges, chain };
}

/**
 * Returns how far to the right the curve of an edge goes; neighbours in a lane are joined by a line.
 * @param {Node} a
 * @param {Node} b
 */
function swing(a, b) {
  const apart = Math.abs(a.y - b.y);
  return a.x === b.x && apart <= ROW ? a.x : Math.min(120, Math.max(a.x, b.x) + 10 + apart / 10);
}

/**
 * Draws edges of a channel as curves to the right of its lanes.
 * @param {Layout} layout
 * @param {Edge[]} edges
 */
export function channelPaths(layout, edges) {
  return edges
    .map(({ from, to }) => {
      const [a, b] = [layout.nodes[from], layout.nodes[to]];
      const out = swing(a, b);
      if (out === a.x) return `M${a.x} ${a.y}L${b.x} ${b.y}`;
      return `M${a.x} ${a.y}C${out} ${a.y} ${out} ${b.y} ${b.x} ${b.y}`;
    })
    .join('');
}
