/**
 * A custom policy in JavaScript: refuses images of too many layers, and warns of those that come near.
 *
 * `imagePolicy.evaluate` counts the layers of an image, or of every image of an index, and leaves the decision to
 * `judge`. Interfaces that the plugin exports are objects here, in camel case.
 */

/** What `configure` was given: an instance has one configuration for all its life. */
let limits = { most: Infinity, warn: Infinity };

/** What the schema of the settings cannot say about them. */
function problems({ most, warn }) {
  if (warn === undefined || warn <= most) return [];
  return [{ path: "warn", code: "layer-limit.late", message: `images of more than ${most} layers are refused before` }];
}

/** Decides about one image. */
function judge(origin, layers) {
  const finding = (most) => ({
    code: "layer-limit",
    message: `\`${origin}\` has ${layers} layers; ${most} are enough`,
    details: [["layers", `${layers}`]],
  });
  if (layers > limits.most) return { tag: "deny", val: [finding(limits.most)] };
  if (layers >= limits.warn) return { tag: "warn", val: [finding(limits.warn - 1)] };
  return { tag: "allow" };
}

export const settings = {
  validate: (text) => problems(JSON.parse(text)),
  configure(text) {
    const parsed = JSON.parse(text);
    const found = problems(parsed);
    // What is thrown is the error of the function's result.
    if (found.length > 0) throw found;
    limits = { warn: Infinity, ...parsed };
  },
};

export const imagePolicy = {
  evaluate(request, image) {
    let images = [image];
    if (image.isIndex()) {
      // Builders store attestations beside the images, for a platform that does not exist.
      const platforms = image.children().map((child) => child.platform);
      images = platforms.filter((p) => p !== undefined && p.os !== "unknown").map((p) => image.child(p));
    }
    const layers = images.map((one) => one.layers().length);
    return judge(request.origin, Math.max(0, ...layers));
  },
};
