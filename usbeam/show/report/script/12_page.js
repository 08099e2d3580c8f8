// Puts the page together, and says what happens when something changes.

/** Radio buttons that look like one control. */
function choices(parent, name, labels, choice) {
  for (const [value, text] of Object.entries(labels)) {
    const input = html("input", { type: "radio", name, id: `${name}-${value}`, value, onchange: () => choice(value) });
    const swatch = value in PART_NAMES ? [html("span", { class: `swatch ${value}`, "aria-hidden": "true" })] : [];
    parent.append(input, html("label", { for: input.id }, ...swatch, text));
  }
}

function about() {
  const made = new Date(report.created).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
  const parts = [
    `${report.images.length} image${report.images.length === 1 ? "" : "s"}`,
    `CNR at ${report.dynamic_range} dB`,
    html("time", { datetime: report.created }, made),
    `usbeam ${report.version}`,
  ];
  return parts.flatMap((part, index) => (index ? [" · ", part] : [part]));
}

function definitionList() {
  const definitions = {
    CNR:
      "|mean of the foreground \u2212 mean of the background| / \u221a(sum of their variances), of levels in dB " +
      `below the image's maximum, clipped to \u2212${report.dynamic_range}\u20260 dB; ` +
      "an image stored in dB is taken as it is. The sliders do not change it.",
    gCNR:
      "1 \u2212 overlap of the two histograms, with bins at quantiles of all their pixels " +
      "(Rodriguez-Molares et al. 2020). No remapping of grey levels changes it.",
    Pixels: "Those whose centre lies in the foreground / in the background.",
    "rois.toml": "usbeam evaluate IMAGE.h5 --rois rois.toml gives the same numbers, and more.",
  };
  return Object.entries(definitions).flatMap(([name, text]) => [html("dt", {}, name), html("dd", {}, text)]);
}

function settingsOf(image) {
  const [left, right, top, bottom] = image.extent.map((edge) => millimetres(edge));
  const entries = {
    state: image.state,
    pixels: `${image.z.length} in depth, ${image.x.length} across`,
    extent: `x ${left} to ${right} mm, z ${top} to ${bottom} mm`,
    ...image.source,
    ...image.settings,
  };
  const rows = Object.entries(entries).map(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return html("tr", {}, html("th", { scope: "row" }, name), html("td", {}, text));
  });
  const table = html("table", { class: "settings" }, html("tbody", {}, ...rows));
  return html("details", {}, html("summary", {}, image.name), table);
}

async function unpackShape(shape) {
  return shape.shape === "mask" ? { ...shape, pixels: await unpack(shape.pixels, Uint8Array) } : shape;
}

async function unpackPair({ name, inside, outside }) {
  return { name, inside: await unpackShape(inside), outside: await unpackShape(outside) };
}

/** The view as it is at first. */
function reset() {
  byId("pixels").checked = false;
  Object.entries({ window: report.dynamic_range, level: 0, size: 1 }).forEach(([id, value]) => {
    byId(id).value = value;
  });
}

/** What the toolbar, the window and the regions do. */
function connect(views) {
  const paint = soon(() => views.paint());
  const resize = soon(() => views.resize());
  cursor.moved = soon(() => views.drawCursor());
  regions.changed = soon(() => {
    views.drawRegions();
    drawPairs(views.images);
    drawDownload();
    byId(`part-${regions.part}`).checked = true;
  });
  ["window", "level", "pixels"].forEach((id) => byId(id).addEventListener("input", paint));
  ["size", "left", "right"].forEach((id) => byId(id).addEventListener("input", resize));
  const clicks = { reset: () => (reset(), resize()), "new-pair": addPair, undo, download };
  Object.entries(clicks).forEach(([id, click]) => byId(id).addEventListener("click", click));
  document.addEventListener("keydown", (event) => {
    const undoes = (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z";
    if (!undoes || event.target.matches("input[type=number], input.name")) return;
    event.preventDefault();
    undo();
  });
  new ResizeObserver(resize).observe(byId("panels"));
  choices(byId("tools"), "tool", Object.fromEntries(Object.entries(TOOLS).map(([id, { name }]) => [id, name])), choose);
  choices(byId("roles"), "part", { inside: "Foreground", outside: "Background" }, (part) => {
    regions.part = part;
    regions.changed();
  });
}

async function start() {
  const images = await Promise.all(report.images.map(unpackImage));
  regions.pairs = await Promise.all(report.regions.map(unpackPair));
  byId("title").textContent = report.title;
  byId("about").append(...about());
  byId("definitions").append(...definitionList());
  byId("settings").append(...images.map(settingsOf));
  drawCurves(images);
  byId("content").hidden = false;
  byId("status").hidden = true;
  reset();
  const views = new Views(images);
  connect(views);
  views.resize();
  byId("tool-select").checked = true;
  choose("select");
}

start().catch((error) => {
  const status = byId("status");
  status.hidden = false;
  status.className = "problem";
  const needed = "It needs a Chromium, Firefox or Safari of 2023 or later.";
  status.textContent = `The report cannot be shown: ${error.message}. ${needed}`;
  throw error;
});
