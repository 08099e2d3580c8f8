// The shapes of regions, in metres, as rois.toml has them. Each kind knows
//   bounds    left, right, top, bottom
//   contains  whether a place belongs to it: the same rule as usbeam/measure/shapes.py, border included
//   moved     itself elsewhere
//   handles   places that can be dragged, each with what it then becomes
//   path      its outline as SVG path data; `at` maps a place to "X Y" and `scale` is pixels per metre
//   fields    numbers that can be typed: name -> label
//   toml      its members other than `shape`
// A shape that can be drawn by dragging also has `between(start, end)` and `around(place, size)`.

const BORDER = report.border;
const MICROMETRE = 1e-6;

const distance = (x, z) => Math.sqrt(x * x + z * z);

/** A length as TOML has it; what is not a whole number of micrometres is written in full. */
function written(metres) {
  const mm = Math.round(metres * 1e6) / 1e3;
  return mm / 1e3 === metres ? `${mm}mm` : `${metres}m`;
}

const quoted = (text) => JSON.stringify(text).replaceAll("\x7f", "\\u007f");
const member = (name, metres) => `${name} = ${quoted(written(metres))}`;

/** A circle as path data: two half turns. */
function ring({ x, z }, radius, at, scale) {
  const turn = `A ${radius * scale} ${radius * scale} 0 1 1`;
  return `M ${at(x - radius, z)} ${turn} ${at(x + radius, z)} ${turn} ${at(x - radius, z)} Z`;
}

const chain = (points, at) => `M ${points.map(([x, z]) => at(x, z)).join(" L ")} Z`;
const corners = ({ x, z }) => [
  [x[0], z[0]],
  [x[1], z[0]],
  [x[1], z[1]],
  [x[0], z[1]],
];
const sorted = (one, other) => (one < other ? [one, other] : [other, one]);
const moveHandle = (shape) => ({
  x: shape.x,
  z: shape.z,
  dragged: (x, z) => ({ ...shape, x: micron(x), z: micron(z) }),
});
const radiusOf = (shape, x, z) => micron(distance(x - shape.x, z - shape.z));

const KINDS = {
  circle: {
    bounds: ({ x, z, radius }) => [x - radius, x + radius, z - radius, z + radius],
    contains: (shape, x, z) => distance(x - shape.x, z - shape.z) - shape.radius <= BORDER,
    moved: (shape, dx, dz) => ({ ...shape, x: micron(shape.x + dx), z: micron(shape.z + dz) }),
    handles: (shape) => [
      moveHandle(shape),
      { x: shape.x + shape.radius, z: shape.z, dragged: (x, z) => ({ ...shape, radius: radiusOf(shape, x, z) }) },
    ],
    path: (shape, at, scale) => ring(shape, shape.radius, at, scale),
    fields: { x: "x", z: "z", radius: "radius" },
    toml: ({ x, z, radius }) => [member("x", x), member("z", z), member("radius", radius)],
    between: (start, end) => {
      const centre = { x: micron(start.x), z: micron(start.z) };
      return { shape: "circle", ...centre, radius: radiusOf(centre, end.x, end.z) };
    },
    around: ({ x, z }, size) => ({ shape: "circle", x: micron(x), z: micron(z), radius: micron(size) }),
    problem: ({ radius }) => (radius > 0 ? null : "the radius must be above 0"),
  },
  annulus: {
    bounds: ({ x, z, outer }) => [x - outer, x + outer, z - outer, z + outer],
    contains: ({ x: left, z: top, inner, outer }, x, z) => {
      const away = distance(x - left, z - top);
      return Math.max(inner - away, away - outer) <= BORDER;
    },
    moved: (shape, dx, dz) => ({ ...shape, x: micron(shape.x + dx), z: micron(shape.z + dz) }),
    handles: (shape) => [
      moveHandle(shape),
      { x: shape.x + shape.inner, z: shape.z, dragged: (x, z) => ({ ...shape, inner: radiusOf(shape, x, z) }) },
      { x: shape.x + shape.outer, z: shape.z, dragged: (x, z) => ({ ...shape, outer: radiusOf(shape, x, z) }) },
    ],
    path: (shape, at, scale) => `${ring(shape, shape.inner, at, scale)} ${ring(shape, shape.outer, at, scale)}`,
    fields: { x: "x", z: "z", inner: "inner", outer: "outer" },
    toml: ({ x, z, inner, outer }) => [member("x", x), member("z", z), member("inner", inner), member("outer", outer)],
    problem: ({ inner, outer }) => (0 < inner && inner < outer ? null : "the radii must rise, from above 0"),
  },
  rectangle: {
    bounds: ({ x, z }) => [...x, ...z],
    contains: (shape, x, z) => {
      const across = Math.max(shape.x[0] - x, x - shape.x[1]);
      const down = Math.max(shape.z[0] - z, z - shape.z[1]);
      return distance(Math.max(across, 0), Math.max(down, 0)) + Math.min(Math.max(across, down), 0) <= BORDER;
    },
    moved: (shape, dx, dz) => ({
      ...shape,
      x: shape.x.map((side) => micron(side + dx)),
      z: shape.z.map((side) => micron(side + dz)),
    }),
    handles: (shape) =>
      corners(shape).map(([x, z], index, all) => {
        const [farX, farZ] = all[(index + 2) % 4];
        return { x, z, dragged: (toX, toZ) => KINDS.rectangle.between({ x: farX, z: farZ }, { x: toX, z: toZ }) };
      }),
    path: (shape, at) => chain(corners(shape), at),
    fields: { "x.0": "left", "x.1": "right", "z.0": "top", "z.1": "bottom" },
    toml: ({ x, z }) => [`x = ${quoted(x.map(written).join(":"))}`, `z = ${quoted(z.map(written).join(":"))}`],
    between: (start, end) => ({
      shape: "rectangle",
      x: sorted(micron(start.x), micron(end.x)),
      z: sorted(micron(start.z), micron(end.z)),
    }),
    around: ({ x, z }, size) => KINDS.rectangle.between({ x: x - size, z: z - size }, { x: x + size, z: z + size }),
    problem: ({ x, z }) => (x[0] < x[1] && z[0] < z[1] ? null : "the limits must rise"),
  },
  polygon: {
    bounds: ({ points }) => {
      const [xs, zs] = [0, 1].map((axis) => points.map((point) => point[axis]));
      return [Math.min(...xs), Math.max(...xs), Math.min(...zs), Math.max(...zs)];
    },
    contains: ({ points }, x, z) => {
      let odd = false;
      let away = Infinity;
      for (let i = 0; i < points.length; i++) {
        const [x1, z1] = points[i];
        const [x2, z2] = points[(i + 1) % points.length];
        const [across, down] = [x2 - x1, z2 - z1];
        const square = across * across + down * down;
        if (square === 0) continue;
        const along = clamp(((x - x1) * across + (z - z1) * down) / square, 0, 1);
        away = Math.min(away, distance(x - x1 - along * across, z - z1 - along * down));
        if (z1 > z !== z2 > z && x < x1 + (z - z1) * (across / down)) odd = !odd;
      }
      return odd || away <= BORDER;
    },
    moved: (shape, dx, dz) => ({
      ...shape,
      points: shape.points.map(([x, z]) => [micron(x + dx), micron(z + dz)]),
    }),
    handles: (shape) =>
      shape.points.map(([x, z], index) => ({
        x,
        z,
        dragged: (toX, toZ) => ({ ...shape, points: shape.points.with(index, [micron(toX), micron(toZ)]) }),
      })),
    path: ({ points }, at) => chain(points, at),
    fields: {},
    toml: ({ points }) => [`points = [${points.map((p) => `[${p.map(written).map(quoted).join(", ")}]`).join(", ")}]`],
    problem: ({ points }) => {
      if (points.length < 3) return "a polygon has three corners or more";
      if (points.length > report.max_points) return `a polygon has at most ${report.max_points} corners`;
      const [x0, z0] = points[0];
      const aways = points.map(([x, z]) => distance(x - x0, z - z0));
      const length = Math.max(...aways);
      const [x1, z1] = points[aways.indexOf(length)];
      const areas = points.map(([x, z]) => Math.abs((x - x0) * (z1 - z0) - (z - z0) * (x1 - x0)));
      return Math.max(...areas) > MICROMETRE * length ? null : "the corners lie on one line";
    },
  },
  mask: {
    handles: () => [],
    path: (shape, at, scale, image) => runs(shape, image, at),
    fields: {},
    toml: ({ file }) => [`file = ${quoted(file)}`],
    problem: () => null,
  },
};

/** A mask on an image of as many pixels: a box around every run of pixels in a row. */
function runs({ pixels, n_z, n_x }, image, at) {
  if (image?.z.length !== n_z || image.x.length !== n_x) return "";
  const [left, right, top, bottom] = image.extent;
  const [width, height] = [(right - left) / n_x, (bottom - top) / n_z];
  const boxes = [];
  for (let row = 0; row < n_z; row++) {
    for (let from = pixels.indexOf(1, row * n_x); from >= 0 && from < (row + 1) * n_x;) {
      let to = from;
      while (to < (row + 1) * n_x && pixels[to]) to++;
      const [x, z] = [
        [from, to].map((edge) => left + (edge - row * n_x) * width),
        [row, row + 1].map((edge) => top + edge * height),
      ];
      boxes.push(chain(corners({ x, z }), at));
      from = pixels.indexOf(1, to);
    }
  }
  return boxes.join(" ");
}

/** The text of rois.toml; the pairs must be whole. */
function tomlOf(pairs) {
  const table = ({ shape, ...rest }) => `{${[`shape = ${quoted(shape)}`, ...KINDS[shape].toml(rest)].join(", ")}}`;
  const key = (name) => (/^[A-Za-z0-9_-]+$/.test(name) ? name : quoted(name));
  return pairs
    .map(({ name, inside, outside }) => `[${key(name)}]\ninside = ${table(inside)}\noutside = ${table(outside)}\n`)
    .join("\n");
}
