/**
 * A custom content source in JavaScript: mirrors the images of an inventory in JSON or YAML on a web server.
 *
 * `source.collect` has the host fetch the inventory, and `wanted` reads it. The plugin opens no connection and sees no
 * password. Interfaces that the plugin exports are objects here, in camel case; resources of the host, such as the sink,
 * are objects with methods. Of the Web's API there is nothing, neither `fetch` nor `TextDecoder`.
 */

import { fetch } from "oc-mirror:plugin/http@0.1.0";
import { Documents } from "oc-mirror:plugin/streams@0.1.0";

/** The most bytes that an inventory may have. */
const MAX_INVENTORY = 4 << 20;

/** What `configure` was given: an instance has one configuration for all its life. */
let config = {};

/** What the schema of the settings cannot say about them. */
function problems({ environments = [] }) {
  return environments.flatMap((name, place) =>
    environments.indexOf(name) === place
      ? []
      : [{ path: `environments[${place}]`, code: "inventory.twice", message: `\`${name}\` is there already` }],
  );
}

/** An error of the contract: what is thrown in this form fails the source. */
const failure = (tag, val) => ({ tag, val });

/** The names of the images that the environments run, each once. One entry that is none is enough to refuse all. */
function wanted(inventory, environments) {
  const entries = inventory?.images;
  if (!Array.isArray(entries)) throw failure("invalid", "the inventory has no list `images`");
  const names = new Set();
  entries.forEach((entry, place) => {
    const { image, environments: where = [] } = entry ?? {};
    if (typeof image !== "string" || !Array.isArray(where)) {
      throw failure("invalid", `\`images[${place}]\` is no entry of an inventory`);
    }
    if (environments === undefined || environments.some((name) => where.includes(name))) names.add(image);
  });
  return { names: [...names], skipped: entries.length - names.size };
}

const request = (name) => ({
  source: name,
  origin: name,
  kind: "additional",
  targetRepository: undefined,
  targetTag: undefined,
  platforms: [],
  withReferrers: false,
  provenance: [["plugin", "inventory"]],
});

export const settings = {
  validate: (text) => problems(JSON.parse(text)),
  configure(text) {
    const parsed = JSON.parse(text);
    const found = problems(parsed);
    // What is thrown is the error of the function's result.
    if (found.length > 0) throw found;
    config = parsed;
  },
};

export const source = {
  collect(out) {
    const { url, credential, environments } = config;
    const headers = [["accept", "application/json"]];
    // An error of the host is thrown too, and what is not caught here fails the source.
    const [response, body] = fetch({ method: "GET", url, headers, body: undefined, credential, maxBytes: MAX_INVENTORY });
    if (response.status === 404) throw failure("not-found", `there is no inventory at ${url}`);
    if (response.status !== 200) throw failure("unavailable", `${url} answered with status ${response.status}`);
    // The host splits JSON and YAML into documents, as text of JSON, of which an inventory is the first.
    const { names, skipped } = wanted(JSON.parse(new Documents(body, []).next() ?? "null"), environments);
    return { images: out.images(names.map(request)), generated: 0, skipped };
  },
};
