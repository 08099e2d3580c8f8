// Drawing with mouse, finger, pen or keys. A tool answers `down`, `move`, `up` and `key`; places are in metres.

const TINY = 3; // CSS pixels; a shorter drag is a click
const NEAR = 9; // CSS pixels; a click this near to a polygon's end closes it

const cursor = { place: null, moved: () => {} };

const apart = (frame, one, other) => distance(one.x - other.x, one.z - other.z) * frame.scale;

/** Choose a region, drag it or one of its handles. */
const selectTool = {
  name: "Select",
  hint: "Drag a region to move it, a handle to change its size; Delete removes it.",
  grip: null,
  down(frame, start, { target }) {
    const group = target.closest("[data-pair]");
    regions.selected = group && { pair: Number(group.dataset.pair), part: group.dataset.part };
    this.grip = null;
    if (group) {
      const { pair, part } = regions.selected;
      const shape = regions.pairs[pair][part];
      const handle =
        target.dataset.handle === undefined ? null : KINDS[shape.shape].handles(shape)[target.dataset.handle];
      if (shape.shape !== "mask") this.grip = { pair, part, shape, handle, start, remembered: false };
      Object.assign(regions, { current: pair, part });
    }
    regions.changed();
  },
  move(frame, end) {
    if (!this.grip) return;
    const { pair, part, shape, handle, start } = this.grip;
    const kind = KINDS[shape.shape];
    const shifted = handle ? handle.dragged(end.x, end.z) : kind.moved(shape, end.x - start.x, end.z - start.z);
    if (kind.problem(shifted)) return;
    if (!this.grip.remembered) remember();
    this.grip.remembered = true;
    changePair(pair, { [part]: shifted });
  },
  up() {
    this.grip = null;
  },
  key(frame, key) {
    if (key === "Delete" || key === "Backspace") removeSelected();
    else if (key === "Escape") regions.selected = null;
    else return false;
    regions.changed();
    return true;
  },
};

/** Draw a shape by dragging, or put one of a standard size at the cursor by Enter. */
const dragTool = (kind, name, hint) => ({
  name,
  hint,
  start: null,
  down(frame, start) {
    this.start = start;
  },
  move(frame, end) {
    if (!this.start) return;
    regions.draft = apart(frame, this.start, end) < TINY ? null : KINDS[kind].between(this.start, end);
    regions.changed();
  },
  up() {
    this.start = null;
    if (regions.draft) putShape(regions.draft);
  },
  key(frame, key) {
    if (key === "Enter") putShape(KINDS[kind].around(cursor.place, Math.min(frame.width, frame.height) / 10));
    else if (key === "Escape") this.start = regions.draft = null;
    else return false;
    regions.changed();
    return true;
  },
});

/** Set a polygon's corners by click or Enter, one after the other; the first or the last corner again closes it. */
const polygonTool = {
  name: "Polygon",
  hint: "Click corner after corner; double-click, or click the first corner, to close. Esc gives up.",
  points: [],
  down(frame, { x, z }) {
    const corner = { x: micron(x), z: micron(z) };
    const ends = [this.points[0], this.points.at(-1)];
    const closes =
      this.points.length > 2 && ends.some(([endX, endZ]) => apart(frame, corner, { x: endX, z: endZ }) < NEAR);
    if (closes) {
      const points = this.points;
      this.points = [];
      putShape({ shape: "polygon", points });
    } else if (this.points.length < report.max_points) {
      this.points = [...this.points, [corner.x, corner.z]];
      this.move(frame, corner);
    }
  },
  move(frame, { x, z }) {
    if (!this.points.length) return;
    regions.draft = { shape: "polygon", points: [...this.points, [x, z]] };
    regions.changed();
  },
  up() {},
  key(frame, key) {
    if (key === "Enter") this.down(frame, cursor.place);
    else if (key === "Backspace") this.points = this.points.slice(0, -1);
    else if (key === "Escape") this.points = [];
    else return false;
    if (!this.points.length) regions.draft = null;
    else this.move(frame, cursor.place);
    regions.changed();
    return true;
  },
};

const TOOLS = {
  select: selectTool,
  circle: dragTool("circle", "Circle", "Press at the centre and drag to the rim. Keys: Enter puts one at the cursor."),
  rectangle: dragTool("rectangle", "Rectangle", "Drag from corner to corner. Keys: Enter puts one at the cursor."),
  polygon: polygonTool,
};

let tool = TOOLS.select;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Move the cursor by a two-hundredth of the frame's shorter side; with Shift by ten times that. */
function stepCursor(frame, [across, down], far) {
  const step = ((far ? 10 : 1) * Math.min(frame.width, frame.height)) / 200;
  const { x, z } = cursor.place;
  cursor.place = frame.inside({ x: x + across * step, z: z + down * step });
  tool.move(frame, cursor.place);
  cursor.moved();
}

/** Connect a frame with the pointer and the keyboard. */
function watch(frame) {
  const { overlay } = frame;
  const centre = () =>
    frame.inside({ x: (frame.extent[0] + frame.extent[1]) / 2, z: (frame.extent[2] + frame.extent[3]) / 2 });
  overlay.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    overlay.setPointerCapture(event.pointerId);
    cursor.place = frame.place(event);
    tool.down(frame, frame.inside(cursor.place), event);
    cursor.moved();
  });
  overlay.addEventListener("pointermove", (event) => {
    cursor.place = frame.place(event);
    tool.move(frame, frame.inside(cursor.place));
    cursor.moved();
  });
  overlay.addEventListener("pointerup", () => tool.up());
  overlay.addEventListener("pointercancel", () => tool.up());
  overlay.addEventListener("pointerleave", () => {
    cursor.place = null;
    cursor.moved();
  });
  overlay.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.key === "Tab") return;
    cursor.place ??= centre();
    const arrow = ARROWS[event.key];
    if (arrow) stepCursor(frame, arrow, event.shiftKey);
    else if (!tool.key(frame, event.key)) return;
    event.preventDefault();
  });
}

function choose(name) {
  tool = TOOLS[name];
  regions.draft = null;
  polygonTool.points = [];
  document.body.dataset.tool = name;
  byId("hint").textContent = tool.hint;
  regions.changed();
}
