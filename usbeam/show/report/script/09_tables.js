// The table of regions, pair by pair and image by image, and what can be typed and clicked in it.

const results = new WeakMap(); // pair -> what it gives in each image; pairs never change in place

function resultsOf(pair, images) {
  const known = results.get(pair) ?? images.map((image) => measured(image, pair));
  results.set(pair, known);
  return known;
}

const read = (shape, field) => field.split(".").reduce((value, key) => value[key], shape);

function changedField(shape, field, value) {
  const [key, index] = field.split(".");
  return { ...shape, [key]: index === undefined ? value : shape[key].with(Number(index), value) };
}

/** One number of a shape, in mm, to be typed. */
function fieldOf(index, part, field, name) {
  const shape = regions.pairs[index][part];
  const change = ({ target }) => {
    const changed = changedField(shape, field, micron(target.valueAsNumber / 1e3));
    if (!Number.isFinite(target.valueAsNumber) || KINDS[shape.shape].problem(changed)) return regions.changed();
    remember();
    return changePair(index, { [part]: changed });
  };
  const value = Number((read(shape, field) * 1e3).toPrecision(12));
  const id = `pair-${index}-${part}-${field}`;
  return html("label", {}, `${name} `, html("input", { id, type: "number", step: 0.01, value, onchange: change }));
}

const crossButton = (title, onclick) =>
  html("button", { type: "button", class: "quiet", title, "aria-label": title, onclick }, "×");

/** What a shape is, as text. */
function inWords(shape) {
  const range = (limits) => limits.map((limit) => millimetres(limit)).join(" to ");
  if (shape.shape === "polygon") return `polygon of ${shape.points.length} corners`;
  if (shape.shape === "mask") return `mask ${shape.file}, not editable here`;
  if (shape.shape === "rectangle") return `rectangle, x ${range(shape.x)}, z ${range(shape.z)} mm`;
  const lengths = Object.entries(KINDS[shape.shape].fields).map(
    ([field, name]) => `${name} ${millimetres(shape[field])}`,
  );
  return `${shape.shape}, ${lengths.join(", ")} mm`;
}

/** A part of a pair: numbers to be typed for the pair that is drawn, words for the others. */
function shapeLine(index, part) {
  const shape = regions.pairs[index][part];
  const isCurrent = index === regions.current;
  const swatch = html("span", { class: `swatch ${part}`, title: PART_NAMES[part] });
  const fields = shape && isCurrent ? Object.entries(KINDS[shape.shape].fields) : [];
  const words = shape ? inWords(shape) : `no ${PART_NAMES[part]} yet`;
  const content = fields.length
    ? html(
        "span",
        { class: "fields" },
        `${shape.shape} [mm]`,
        fields.map(([field, name]) => fieldOf(index, part, field, name)),
      )
    : html("span", { class: "soft" }, words);
  return html("div", { class: "shape" }, swatch, content, shape && isCurrent ? removePart(index, part) : "");
}

function removePart(index, part) {
  return crossButton(`Delete the ${PART_NAMES[part]} of ${regions.pairs[index].name}`, () => {
    remember();
    regions.selected = null;
    changePair(index, { [part]: null });
  });
}

function rename(index, target) {
  const name = target.value.trim();
  const taken = regions.pairs.some((pair, other) => other !== index && pair.name === name);
  if (!name || taken) return regions.changed();
  remember();
  return changePair(index, { name });
}

function headOf(index) {
  const pair = regions.pairs[index];
  const choice = html("input", {
    type: "radio",
    name: "current",
    id: `pair-${index}-current`,
    checked: index === regions.current,
    "aria-label": `Draw into ${pair.name}`,
    onchange: () => {
      Object.assign(regions, { current: index, part: pair.inside ? "outside" : "inside", selected: null });
      regions.changed();
    },
  });
  const name = html("input", {
    id: `pair-${index}-name`,
    class: "name",
    value: pair.name,
    "aria-label": "Name of the pair",
    onchange: ({ target }) => rename(index, target),
  });
  const ring = html(
    "button",
    {
      type: "button",
      disabled: pair.inside?.shape !== "circle",
      title: "A background around the foreground's circle, of the same area",
      onclick: () => addRing(index),
    },
    "Ring around",
  );
  const remove = crossButton(`Delete the pair ${pair.name}`, () => removePair(index));
  return html("div", { class: "pair-head" }, choice, name, ring, remove);
}

const number = (value, decimals) => html("data", { value }, shown(value, decimals));

function resultRow(image, { problem, cnr, gcnr, counts }) {
  const name = html("th", { scope: "row" }, image.name);
  const pixels = counts ? `${counts[0]} / ${counts[1]}` : "";
  const cells = problem
    ? [html("td", { colspan: 3, class: "problem" }, problem)]
    : [
        html("td", { class: "cnr" }, cnr === null ? html("span", { class: "problem" }, "no variance") : number(cnr, 3)),
        html("td", { class: "gcnr" }, number(gcnr, 3)),
        html("td", { class: "count" }, pixels),
      ];
  return html("tr", { "data-image": image.index }, name, ...cells);
}

function pairBody(index, images) {
  const pair = regions.pairs[index];
  const parts = html("div", {}, shapeLine(index, "inside"), shapeLine(index, "outside"));
  const rows = images.map((image, at) => resultRow(image, resultsOf(pair, images)[at]));
  const head = html("tr", { class: "head" }, html("td", { colspan: 4 }, headOf(index), parts));
  return html(
    "tbody",
    { class: index === regions.current ? "pair current" : "pair", "data-pair": index },
    head,
    ...rows,
  );
}

/** Means over all pairs, where there are several and an image has all of them. */
function meanBody(images) {
  if (regions.pairs.length < 2) return [];
  const rows = images.map((image, at) => {
    const all = regions.pairs.map((pair) => resultsOf(pair, images)[at]);
    if (all.some(({ problem, cnr }) => problem || cnr === null))
      return resultRow(image, { problem: "not every pair can be measured" });
    return resultRow(image, { cnr: mean(all.map(({ cnr }) => cnr)), gcnr: mean(all.map(({ gcnr }) => gcnr)) });
  });
  const head = html("th", { colspan: 4, scope: "rowgroup" }, `Mean of ${regions.pairs.length} pairs`);
  return [html("tbody", { class: "mean" }, html("tr", { class: "head" }, head), ...rows)];
}

let revealed = null;

/** Scroll a list to an entry that is not yet the one in view; the page itself stays where it is. */
function reveal(list, entry) {
  if (revealed === regions.current) return;
  revealed = regions.current;
  const [top, bottom] = [entry.offsetTop, entry.offsetTop + entry.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}

function drawPairs(images) {
  if (!regions.pairs.length) {
    const invitation = "No regions yet. Choose a tool and draw a foreground on any image, then its background.";
    return refill(byId("pairs"), html("p", { class: "soft" }, invitation));
  }
  const columns = ["Image", "CNR", "gCNR", "Pixels"].map((name) => html("th", { scope: "col" }, name));
  const bodies = regions.pairs.map((_, index) => pairBody(index, images));
  const head = html("thead", {}, html("tr", {}, ...columns));
  refill(byId("pairs"), html("table", {}, head, ...bodies, ...meanBody(images)));
  return reveal(byId("pairs"), bodies[regions.current]);
}

/** The pairs that have both parts, and a word about the others. */
function drawDownload() {
  const whole = regions.pairs.filter((pair) => PARTS.every((part) => pair[part]));
  const rest = regions.pairs.length - whole.length;
  const masks = whole.some((pair) => PARTS.some((part) => pair[part].shape === "mask"));
  byId("download").disabled = !whole.length;
  byId("undo").disabled = !regions.past.length;
  byId("download-note").textContent = [
    rest ? `${rest} of ${regions.pairs.length} pairs lack a part and are left out.` : "",
    masks ? "Masks are named, not written: keep their PNG beside the file." : "",
  ].join(" ");
  return whole;
}

function download() {
  const link = html("a", {
    download: "rois.toml",
    href: URL.createObjectURL(new Blob([tomlOf(drawDownload())], { type: "application/toml" })),
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
