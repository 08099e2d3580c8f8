// A frame: a canvas true to scale, with axes in mm around it and an overlay for crosshair and regions.

const MARGIN = { left: 42, right: 10, top: 6, bottom: 36 };
const MOST_ROWS = 8192;

/** A step of 1, 2 or 5 times a power of ten, so that ticks are at least `gap` apart. */
function niceStep(scale, gap) {
  const least = gap / scale;
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9));
}

/** Multiples of `step` from `first` to `last`. */
function ticks(first, last, step) {
  const from = Math.ceil(first / step - 1e-9);
  const count = Math.floor(last / step + 1e-9) - from + 1;
  return Array.from({ length: Math.max(count, 0) }, (_, index) => (from + index) * step);
}

const tickText = (value, step) => shown(value, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));

class Frame {
  /** In `host`; `extent` is left, right, top, bottom; `watch` gets the pointer and the keys. */
  constructor(host, extent, label, watch) {
    this.extent = extent;
    this.canvas = html("canvas", { "aria-hidden": "true" });
    this.regions = svg("g");
    this.cross = ["halo", "line"].map((name) => svg("path", { class: name }));
    const cross = svg("g", { class: "cross" }, ...this.cross);
    this.content = svg("svg", { x: MARGIN.left, y: MARGIN.top }, this.regions, cross);
    this.axes = svg("g", { class: "axes" });
    this.overlay = svg(
      "svg",
      { class: "overlay", tabindex: 0, role: "application", "aria-label": `${label}. Arrow keys move the cursor.` },
      this.axes,
      this.content,
    );
    this.box = html("div", { class: "frame" }, this.canvas, this.overlay);
    host.append(this.box);
    watch(this);
  }

  get width() {
    return this.extent[1] - this.extent[0];
  }

  get height() {
    return this.extent[3] - this.extent[2];
  }

  /** Draw at `scale` CSS pixels per metre. */
  resize(scale) {
    this.scale = scale;
    const [width, height] = [this.width * scale, this.height * scale];
    const whole = [width + MARGIN.left + MARGIN.right, height + MARGIN.top + MARGIN.bottom];
    [this.box, this.overlay].forEach((element) => {
      [element.style.width, element.style.height] = whole.map((size) => `${size}px`);
    });
    Object.assign(this.canvas.style, {
      left: `${MARGIN.left}px`,
      top: `${MARGIN.top}px`,
      width: `${width}px`,
      height: `${height}px`,
    });
    this.content.setAttribute("width", width);
    this.content.setAttribute("height", height);
    this.axes.replaceChildren(...this.#axis(width, height));
  }

  /** "X Y" of a place in the overlay's content. */
  at = (x, z) => `${(x - this.extent[0]) * this.scale} ${(z - this.extent[2]) * this.scale}`;

  /** The place under the pointer. */
  place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    return {
      x: this.extent[0] + (clientX - box.left) / this.scale,
      z: this.extent[2] + (clientY - box.top) / this.scale,
    };
  }

  /** The nearest place within the frame. */
  inside({ x, z }) {
    const [left, right, top, bottom] = this.extent;
    return { x: clamp(x, left, right), z: clamp(z, top, bottom) };
  }

  drawCross(place) {
    const [x, y] = place ? this.at(place.x, place.z).split(" ") : [];
    const d = place ? `M ${x} 0 V ${this.height * this.scale} M 0 ${y} H ${this.width * this.scale}` : "";
    this.cross.forEach((path) => path.setAttribute("d", d));
  }

  #axis(width, height) {
    const [left, right, top, bottom] = this.extent.map((edge) => edge * 1e3);
    const scale = this.scale / 1e3;
    const [stepX, stepZ] = [niceStep(scale, 44), niceStep(scale, 32)];
    const foot = MARGIN.top + height;
    const alongX = ticks(left, right, stepX).map((value) => {
      const x = MARGIN.left + (value - left) * scale;
      return [
        svg("path", { d: `M ${x} ${foot} v 4` }),
        svg("text", { x, y: foot + 15, "text-anchor": "middle" }, tickText(value, stepX)),
      ];
    });
    const alongZ = ticks(top, bottom, stepZ).map((value) => {
      const y = MARGIN.top + (value - top) * scale;
      return [
        svg("path", { d: `M ${MARGIN.left} ${y} h -4` }),
        svg("text", { x: MARGIN.left - 7, y: y + 4, "text-anchor": "end" }, tickText(value, stepZ)),
      ];
    });
    const turned = `translate(11 ${MARGIN.top + height / 2}) rotate(-90)`;
    return [
      svg("rect", { x: MARGIN.left - 0.5, y: MARGIN.top - 0.5, width: width + 1, height: height + 1 }),
      ...alongX.flat(),
      ...alongZ.flat(),
      svg("text", { x: MARGIN.left + width / 2, y: foot + 31, "text-anchor": "middle" }, "x [mm]"),
      svg("text", { transform: turned, "text-anchor": "middle" }, "z [mm]"),
    ];
  }
}

/** For each of equally spaced places from edge to edge, the index of the nearest position of an axis. */
function raster(axis, first, last) {
  const step = axis.reduce(
    (least, value, index) => (index ? Math.min(least, value - axis[index - 1]) : least),
    Infinity,
  );
  const count = clamp(Math.round((last - first) / step), 1, MOST_ROWS);
  return Int32Array.from({ length: count }, (_, index) =>
    nearest(axis, first + ((index + 0.5) * (last - first)) / count),
  );
}

/** Paints an image's levels in grey: white from `level` dB up, black from `level - window` down. */
class Painter {
  constructor(image, canvas) {
    const [left, right, top, bottom] = image.extent;
    this.image = image;
    this.columns = raster(image.x, left, right);
    this.rows = raster(image.z, top, bottom);
    [canvas.width, canvas.height] = [this.columns.length, this.rows.length];
    this.context = canvas.getContext("2d");
    this.pixels = this.context.createImageData(canvas.width, canvas.height);
    this.pixels.data.fill(255);
  }

  paint(window, level) {
    const { columns, rows, image } = this;
    const grey = this.pixels.data; // clamps to 0..255 and rounds
    const [gain, black] = [255 / window, level - window];
    let at = 0;
    for (const row of rows) {
      const start = row * image.x.length;
      for (const column of columns) {
        grey[at] = grey[at + 1] = grey[at + 2] = (image.levels[start + column] - black) * gain;
        at += 4;
      }
    }
    this.context.putImageData(this.pixels, 0, 0);
  }
}
