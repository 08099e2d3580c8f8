// CNR and gCNR, as usbeam/measure/metrics.py has them.

const PARTS = ["inside", "outside"];

/** Why a shape cannot be measured in an image; null where it can be. */
function misfit(image, shape) {
  if (shape.shape === "mask") {
    const fits = shape.n_z === image.z.length && shape.n_x === image.x.length;
    return fits ? null : "mask made for another image";
  }
  const [left, right, top, bottom] = image.extent;
  const bounds = KINDS[shape.shape].bounds(shape);
  const beyond = Math.max(left - bounds[0], bounds[1] - right, top - bounds[2], bounds[3] - bottom);
  return beyond > BORDER ? `reaches ${millimetres(beyond)} mm outside the image` : null;
}

/** Indices of the pixels whose centre lies in a shape. */
function pixelsIn(image, shape) {
  const found = [];
  if (shape.shape === "mask") {
    shape.pixels.forEach((marked, index) => marked && found.push(index));
    return found;
  }
  const { bounds, contains } = KINDS[shape.shape];
  const [left, right, top, bottom] = bounds(shape);
  for (let row = nearest(image.z, top); row <= nearest(image.z, bottom); row++) {
    for (let column = nearest(image.x, left); column <= nearest(image.x, right); column++) {
      if (contains(shape, image.x[column], image.z[row])) found.push(row * image.x.length + column);
    }
  }
  return found;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function variance(values) {
  const middle = mean(values);
  return mean(values.map((value) => (value - middle) ** 2));
}

const isConstant = (values) => values.every((value) => value === values[0]);

/** Contrast-to-noise ratio; null where nothing varies. */
function cnrOf(inside, outside) {
  if (isConstant(inside) && isConstant(outside)) return null;
  return Math.abs(mean(inside) - mean(outside)) / Math.sqrt(variance(inside) + variance(outside));
}

/** A quantile of sorted values, interpolated as numpy.quantile does. */
function quantile(ordered, part) {
  const place = part * (ordered.length - 1);
  const below = Math.floor(place);
  const [low, high] = [ordered[below], ordered[Math.min(below + 1, ordered.length - 1)]];
  const rest = place - below;
  return rest < 0.5 ? low + (high - low) * rest : high - (high - low) * (1 - rest);
}

/** How many of the rising edges lie below a value. */
function rank(edges, value) {
  let [low, high] = [0, edges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (edges[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Generalized CNR: one minus the overlap of the two histograms, with equally probable bins and one edge between. */
function gcnrOf(inside, outside) {
  const ordered = Float64Array.from([...inside, ...outside]).sort();
  const { bins } = report;
  const quantiles = Array.from({ length: bins - 1 }, (_, index) => quantile(ordered, (index + 1) / bins));
  const topOfDarker = Math.min(...[inside, outside].map((values) => values.reduce((a, b) => Math.max(a, b))));
  const edges = Float64Array.from([...quantiles, topOfDarker]).sort();
  const [one, other] = [inside, outside].map((values) => {
    const counts = new Float64Array(bins + 1);
    values.forEach((value) => counts[rank(edges, value)]++);
    return counts.map((count) => count / values.length);
  });
  return 1 - one.reduce((overlap, share, bin) => overlap + Math.min(share, other[bin]), 0);
}

/** What a pair gives in an image: `{cnr, gcnr, counts}`, or `{problem}` in words. */
function measured(image, pair) {
  const missing = PARTS.filter((part) => !pair[part]);
  if (missing.length) return { problem: `no ${missing.map((part) => PART_NAMES[part]).join(", no ")} yet` };
  for (const part of PARTS) {
    const problem = misfit(image, pair[part]);
    if (problem) return { problem: `${PART_NAMES[part]} ${problem}` };
  }
  const pixels = PARTS.map((part) => pixelsIn(image, pair[part]));
  const empty = PARTS.find((_, index) => !pixels[index].length);
  if (empty) return { problem: `no pixel's centre lies in the ${PART_NAMES[empty]}` };
  const floor = image.state === "db" ? -Infinity : -report.dynamic_range;
  const displayed = pixels.map((indices) => indices.map((index) => Math.max(image.levels[index], floor)));
  const values = pixels.map((indices) => indices.map((index) => image.values[index]));
  return { cnr: cnrOf(...displayed), gcnr: gcnrOf(...values), counts: pixels.map(({ length }) => length) };
}
