// All images side by side: their size, their greys, the dB bar, the cursor.

const FIT = { gap: 18, bar: 56, tall: 0.68, least: 300, narrow: 190 }; // CSS pixels; `tall` is a part of the window

/** CSS pixels per metre at which all frames fit side by side, or as many of them as stay wide enough to be read. */
function fittingScale(extents, width) {
  const wide = extents.map(([left, right]) => right - left);
  const widest = Math.max(...wide);
  const tallest = Math.max(...extents.map(([, , top, bottom]) => bottom - top));
  const gutter = MARGIN.left + MARGIN.right + FIT.gap;
  const inRow = (count) => {
    const metres = count === wide.length ? wide.reduce((sum, each) => sum + each, 0) : count * widest;
    return (width - FIT.bar - count * gutter) / metres;
  };
  let count = extents.length;
  while (count > 1 && inRow(count) * widest < FIT.narrow) count--;
  const highest = Math.max(FIT.least, FIT.tall * window.innerHeight) / tallest;
  return Math.max(Math.min(highest, inRow(count)), 40 / widest);
}

/** Grey from `level` dB (white) down by `range` dB (black), over `height` CSS pixels. */
function drawBar(bar, height, range, level) {
  const [top, width] = [MARGIN.top, 14];
  const step = niceStep(height / range, 30);
  const marks = ticks(level - range, level, step).flatMap((value) => {
    const y = top + ((level - value) * height) / range;
    return [svg("path", { d: `M ${width} ${y} h 4` }), svg("text", { x: width + 8, y: y + 4 }, tickText(value, step))];
  });
  const stops = ["#fff", "#000"].map((colour, offset) => svg("stop", { offset, "stop-color": colour }));
  const gradient = svg("linearGradient", { id: "grey", x1: 0, y1: 0, x2: 0, y2: 1 }, ...stops);
  const edge = svg("rect", { x: 0.5, y: top - 0.5, width: width - 1, height: height + 1 });
  const unit = svg("text", { x: width / 2, y: top + height + 15, "text-anchor": "middle" }, "dB");
  bar.setAttribute("height", height + top + MARGIN.bottom);
  bar.replaceChildren(
    svg("defs", {}, gradient),
    svg("rect", { x: 0.5, y: top, width: width - 1, height, fill: "url(#grey)" }),
    svg("g", { class: "axes" }, edge, ...marks, unit),
  );
}

class Views {
  constructor(images) {
    this.images = images;
    this.each = images.map((image) => this.#add(image));
    this.bar = svg("svg", { class: "bar", width: FIT.bar - 4, role: "img", "aria-label": "Grey scale in dB" });
    const caption = html("figcaption", {}, html("span", { class: "name" }), html("span", { class: "reading" }));
    byId("panels").append(html("figure", {}, caption, this.bar));
    this.wipe = images.length > 1 ? new Wipe(this.each, watch) : null;
    byId("wipe-section").hidden = !this.wipe;
    this.frames = this.each.map(({ frame }) => frame).concat(this.wipe ? [this.wipe.frame] : []);
  }

  #add(image) {
    const reading = html("output", { class: "reading" });
    const figure = html("figure", {}, html("figcaption", {}, html("span", { class: "name" }, image.name), reading));
    const frame = new Frame(figure, image.extent, image.name, watch);
    byId("panels").append(figure);
    return { image, frame, reading, painter: new Painter(image, frame.canvas) };
  }

  get #height() {
    return Math.max(...this.each.map(({ frame }) => frame.height * frame.scale));
  }

  resize() {
    const size = Number(byId("size").value);
    const width = byId("panels").clientWidth;
    const scale =
      size *
      fittingScale(
        this.images.map(({ extent }) => extent),
        width,
      );
    this.each.forEach(({ frame }) => frame.resize(scale));
    this.wipe?.resize(size * fittingScale([this.wipe.extent], width));
    this.#alignCaptions();
    this.paint();
    this.drawRegions();
    this.drawCursor();
  }

  /** Names take as many lines as the longest of them, so that images of one row start at one height. */
  #alignCaptions() {
    const names = [...byId("panels").querySelectorAll(".name")];
    names.forEach((name) => {
      name.style.minHeight = "";
    });
    const height = Math.max(...names.map((name) => name.offsetHeight));
    names.forEach((name) => {
      name.style.minHeight = `${height}px`;
    });
  }

  paint() {
    const [range, level] = ["window", "level"].map((id) => {
      const value = Number(byId(id).value);
      byId(`${id}-value`).textContent = `${shown(value, 0)} dB`;
      return value;
    });
    document.body.classList.toggle("pixelated", byId("pixels").checked);
    this.each.forEach(({ painter }) => painter.paint(range, level));
    drawBar(this.bar, this.#height, range, level);
    this.wipe?.draw();
  }

  drawRegions() {
    this.each.forEach(({ frame, image }) => drawRegions(frame, image));
    if (this.wipe) drawRegions(this.wipe.frame, this.wipe.sides[0].image);
  }

  drawCursor() {
    const { place } = cursor;
    this.frames.forEach((frame) => frame.drawCross(place));
    this.each.forEach(({ image, reading }) => {
      const level = place && levelAt(image, place);
      reading.textContent = level === null ? "" : `${shown(level, 1)} dB`;
      reading.dataset.value = level ?? "";
    });
    byId("place").textContent = place ? placeText(place) : "";
  }
}
