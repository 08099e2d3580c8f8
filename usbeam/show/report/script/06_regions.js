// The regions: pairs of a foreground (inside) and a background (outside), never changed in place.

const PART_NAMES = { inside: "foreground", outside: "background" };

const regions = {
  pairs: [],
  current: 0, // index of the pair that is drawn
  part: "inside", // what the next shape becomes
  selected: null, // {pair, part} whose handles are shown
  draft: null, // a shape while it is drawn
  past: [],
  changed: () => {}, // what to do after any change
};

/** A new name: region 1, region 2 ... */
function freeName() {
  const names = new Set(regions.pairs.map((pair) => pair.name));
  let number = regions.pairs.length + 1;
  while (names.has(`region ${number}`)) number++;
  return `region ${number}`;
}

/** Keep the regions as they are now for `undo`. */
function remember() {
  regions.past.push({ pairs: regions.pairs, current: regions.current, part: regions.part });
}

function undo() {
  const before = regions.past.pop();
  if (before) Object.assign(regions, before, { selected: null, draft: null });
  regions.changed();
}

function changePair(index, change) {
  regions.pairs = regions.pairs.with(index, { ...regions.pairs[index], ...change });
  regions.changed();
}

function addPair() {
  remember();
  regions.pairs = [...regions.pairs, { name: freeName(), inside: null, outside: null }];
  Object.assign(regions, { current: regions.pairs.length - 1, part: "inside", selected: null });
  regions.changed();
}

function removePair(index) {
  remember();
  regions.pairs = regions.pairs.toSpliced(index, 1);
  regions.current = clamp(regions.current, 0, Math.max(regions.pairs.length - 1, 0));
  regions.selected = null;
  regions.changed();
}

function removeSelected() {
  const { selected } = regions;
  if (!selected) return;
  remember();
  regions.selected = null;
  changePair(selected.pair, { [selected.part]: null });
}

/** Make a drawn shape part of the current pair; then the other part is next, if the pair lacks it. */
function putShape(shape) {
  regions.draft = null;
  const problem = KINDS[shape.shape].problem(shape);
  if (problem) return regions.changed();
  const { part } = regions;
  const other = PARTS.find((each) => each !== part);
  if (!regions.pairs.length) addPair();
  else remember();
  const { current } = regions;
  regions.selected = { pair: current, part };
  regions.part = regions.pairs[current][other] ? part : other;
  return changePair(current, { [part]: shape });
}

/** A background around the foreground: a ring a fifth away from it that covers the same area. */
function addRing(index) {
  const { x, z, radius } = regions.pairs[index].inside;
  const inner = micron(1.2 * radius);
  remember();
  Object.assign(regions, { current: index, selected: { pair: index, part: "outside" } });
  changePair(index, { outside: { shape: "annulus", x, z, inner, outer: micron(distance(inner, radius)) } });
}

/** The region's outline in a frame, with its handles if it is selected. */
function outline(frame, index, part, image) {
  const pair = regions.pairs[index];
  const shape = pair[part];
  const kind = KINDS[shape.shape];
  const chosen = regions.selected?.pair === index && regions.selected.part === part;
  const d = kind.path(shape, frame.at, frame.scale, image);
  const data = { "data-pair": index, "data-part": part };
  const group = svg(
    "g",
    { class: `region ${part}${chosen ? " chosen" : ""}`, ...data },
    svg("path", { class: "halo", d }),
    svg("path", { class: "line", d }),
  );
  if (part === "inside") group.append(label(frame, pair.name, shape));
  if (chosen) group.append(...kind.handles(shape).map((handle, number) => grip(frame, handle, number)));
  return group;
}

function grip(frame, { x, z }, number) {
  const [cx, cy] = frame.at(x, z).split(" ");
  return svg("circle", { class: "handle", cx, cy, r: 5, "data-handle": number });
}

function label(frame, name, shape) {
  if (shape.shape === "mask") return "";
  const [left, right, top] = KINDS[shape.shape].bounds(shape);
  const [x, y] = frame.at((left + right) / 2, top).split(" ");
  return svg("text", { x, y: Math.max(Number(y) - 6, 13), "text-anchor": "middle" }, name);
}

/** Show all regions, and the one being drawn, in a frame. */
function drawRegions(frame, image) {
  const drawn = regions.pairs.flatMap((pair, index) =>
    ["outside", "inside"].filter((part) => pair[part]).map((part) => outline(frame, index, part, image)),
  );
  if (regions.draft) {
    const d = KINDS[regions.draft.shape].path(regions.draft, frame.at, frame.scale);
    const paths = ["halo", "line"].map((name) => svg("path", { class: name, d }));
    drawn.push(svg("g", { class: `region draft ${regions.part}` }, ...paths));
  }
  frame.regions.replaceChildren(...drawn);
}
