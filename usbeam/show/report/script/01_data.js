// The report's data: what Python wrote into the page, unpacked. Lengths are metres, levels are dB.

const report = JSON.parse(document.getElementById("data").textContent);

/** A typed array from base64 of gzip of its bytes. */
async function unpack(text, Kind) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let index = 0; index < bytes.length; index++) bytes[index] = binary.charCodeAt(index);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Kind(await new Response(stream).arrayBuffer());
}

/** dB below the image's maximum, as `Image.db` computes them but unclipped; an image stored in dB is taken as it is. */
function levelsOf(values, state) {
  if (state === "db") return values;
  const peak = values.reduce((most, value) => Math.max(most, value), 0);
  return peak > 0 ? values.map((value) => 20 * Math.log10(Math.fround(value / peak))) : values.map(() => -Infinity);
}

/** An image: its axes, its values row by row (envelope or dB), their levels, and where its pixels end (`extent`). */
async function unpackImage(packed, index) {
  const [x, z, values] = await Promise.all([
    unpack(packed.x, Float64Array),
    unpack(packed.z, Float64Array),
    unpack(packed.values, Float32Array),
  ]);
  return { ...packed, index, x, z, values, levels: levelsOf(values, packed.state) };
}

/** Index of the position of a rising axis that is nearest to `value`. */
function nearest(axis, value) {
  let low = 0;
  let high = axis.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= (axis[middle] + axis[middle + 1]) / 2) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Level of the pixel nearest to a place; null outside the image. */
function levelAt(image, { x, z }) {
  const [left, right, top, bottom] = image.extent;
  if (x < left || x > right || z < top || z > bottom) return null;
  return image.levels[nearest(image.z, z) * image.x.length + nearest(image.x, x)];
}

/** The value to the nearest micrometre, as Python reads it back from "12.345mm". */
const micron = (metres) => Math.round(metres * 1e6) / 1e3 / 1e3;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** A number for people, with a true minus sign. */
function shown(value, decimals) {
  if (!Number.isFinite(value)) return String(value).replace("-Infinity", "\u2212\u221e");
  return value
    .toFixed(decimals)
    .replace(/^-(?=[0.]*$)/, "")
    .replace("-", "\u2212");
}

const placeText = ({ x, z }) => `x ${millimetres(x)} mm, z ${millimetres(z)} mm`;

const millimetres = (metres, decimals = 2) => shown(metres * 1e3, decimals);
