// The wipe: two images in one frame, the left one up to the divider and the right one beyond.

class Wipe {
  constructor(views, watch) {
    this.views = views;
    this.frame = new Frame(byId("wiper"), [0, 1, 0, 1], "Wipe", watch);
    byId("wiper").prepend(this.frame.box);
    this.divider = svg("path", { class: "divider" });
    this.grip = svg("path", { class: "divider-grip" });
    this.frame.content.append(this.divider, this.grip);
    this.slider = byId("wipe");
    this.choices = ["left", "right"].map(byId);
    this.choices.forEach((choice, side) => {
      choice.append(...views.map(({ image }) => html("option", { value: image.index }, image.name)));
      choice.value = side ? views.length - 1 : 0;
    });
    this.#follow();
  }

  get sides() {
    return this.choices.map((choice) => this.views[choice.value]);
  }

  /** Of the divider, from 0 at the left edge to 1. */
  get part() {
    return this.slider.value / 100;
  }

  /** Of both images together. */
  get extent() {
    const [one, other] = this.sides.map(({ image }) => image.extent);
    return one.map((edge, index) => (index % 2 ? Math.max : Math.min)(edge, other[index]));
  }

  resize(scale) {
    this.frame.extent = this.extent;
    this.frame.resize(scale);
    const fine = window.devicePixelRatio || 1;
    const { canvas, width, height } = this.frame;
    [canvas.width, canvas.height] = [width, height].map((size) => Math.max(1, Math.round(size * scale * fine)));
    Object.assign(this.slider.parentElement.style, { marginLeft: `${MARGIN.left}px`, width: `${width * scale}px` });
    this.draw();
  }

  draw() {
    const { canvas, extent, width, height } = this.frame;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = !byId("pixels").checked;
    context.clearRect(0, 0, canvas.width, canvas.height);
    const edge = Math.round(this.part * canvas.width);
    const halves = [
      [0, edge],
      [edge, canvas.width],
    ];
    this.sides.forEach((view, side) => {
      const [left, right, top, bottom] = view.image.extent;
      const [acrossPixels, downPixels] = [canvas.width / width, canvas.height / height];
      context.save();
      context.beginPath();
      context.rect(halves[side][0], 0, halves[side][1] - halves[side][0], canvas.height);
      context.clip();
      context.drawImage(
        view.frame.canvas,
        (left - extent[0]) * acrossPixels,
        (top - extent[2]) * downPixels,
        (right - left) * acrossPixels,
        (bottom - top) * downPixels,
      );
      context.restore();
    });
    const [x, foot] = [this.part * width * this.frame.scale, height * this.frame.scale];
    const knob = `M ${x - 4} ${foot / 2 - 14} h 8 v 28 h -8 Z`;
    this.divider.setAttribute("d", `M ${x} 0 V ${foot}`);
    this.grip.setAttribute("d", `M ${x} 0 V ${foot} ${knob}`);
  }

  /** The divider follows the slider, and the pointer that drags it. */
  #follow() {
    const draw = soon(() => this.draw());
    this.slider.addEventListener("input", draw);
    this.grip.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      this.grip.setPointerCapture(event.pointerId);
    });
    this.grip.addEventListener("pointermove", (event) => {
      if (!this.grip.hasPointerCapture(event.pointerId)) return;
      const { x } = this.frame.place(event);
      this.slider.value = (100 * (x - this.frame.extent[0])) / this.frame.width;
      draw();
    });
  }
}
