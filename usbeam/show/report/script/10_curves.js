// Point-spread functions: cross-sections of all images in one plot per direction, and a table of their figures.

const PLOT = { width: 460, height: 270, left: 46, right: 8, top: 8, bottom: 40 };
const FLOOR_STEP = 10;
const HALF_DB = 20 * Math.log10(0.5);

const measuredSpots = (point) => point.spots.flatMap((spot, index) => (spot.problem ? [] : [{ ...spot, index }]));

/** One plot: `profiles` are {index, position, level_db}. */
function curvePlot(profiles, axis, point) {
  const positions = profiles.flatMap(({ position }) => [position[0], position.at(-1)]).map((metres) => metres * 1e3);
  const [first, last] = [Math.min(...positions), Math.max(...positions)];
  const bottom = -report.dynamic_range;
  const [width, height] = [PLOT.width - PLOT.left - PLOT.right, PLOT.height - PLOT.top - PLOT.bottom];
  const [perMm, perDb] = [width / (last - first), height / -bottom];
  const x = (mm) => PLOT.left + (mm - first) * perMm;
  const y = (level) => PLOT.top - Math.max(level, bottom) * perDb;
  const foot = PLOT.top + height;
  const step = niceStep(perMm, 60);
  const down = Math.max(FLOOR_STEP, niceStep(perDb, 28));
  const curves = profiles.map(({ index, position, level_db: levels }) =>
    svg("path", {
      class: `curve ${curveClass(index)}`,
      d: `M ${levels.map((level, at) => `${x(position[at] * 1e3).toFixed(2)} ${y(level).toFixed(2)}`).join(" L ")}`,
    }),
  );
  const name = { x: "Lateral", z: "Axial" }[axis];
  const title = `${name} cross-section through the spot near ${placeText(point)}`;
  return svg(
    "svg",
    { class: "plot", viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": title },
    svg(
      "g",
      { class: "axes" },
      svg("rect", { x: PLOT.left, y: PLOT.top, width, height }),
      ticks(first, last, step)
        .map((mm) => [
          svg("path", { class: "grid", d: `M ${x(mm)} ${PLOT.top} V ${foot}` }),
          svg("text", { x: x(mm), y: foot + 16, "text-anchor": "middle" }, tickText(mm, step)),
        ])
        .flat(),
      ticks(bottom, 0, down)
        .map((level) => [
          svg("path", { class: "grid", d: `M ${PLOT.left} ${y(level)} h ${width}` }),
          svg("text", { x: PLOT.left - 6, y: y(level) + 4, "text-anchor": "end" }, tickText(level, down)),
        ])
        .flat(),
      svg("path", { class: "half", d: `M ${PLOT.left} ${y(HALF_DB)} h ${width}` }),
      svg(
        "text",
        { x: PLOT.left + width / 2, y: foot + 34, "text-anchor": "middle" },
        `${name.toLowerCase()} ${axis} [mm]`,
      ),
      svg("text", { transform: `translate(11 ${PLOT.top + height / 2}) rotate(-90)`, "text-anchor": "middle" }, "dB"),
    ),
    ...curves,
  );
}

const curveClass = (index) => `curve-${index % 6} dash-${Math.floor(index / 6) % 3}`;

function curveLegend(images) {
  const items = images.map((image) => {
    const line = svg("path", { class: `curve ${curveClass(image.index)}`, d: "M 0 5 H 26" });
    return html("li", {}, svg("svg", { width: 26, height: 10, "aria-hidden": "true" }, line), image.name);
  });
  return html("ul", { class: "legend" }, ...items);
}

const orNone = (level) => (level === null ? "none" : number(level, 1));

const SPOT_COLUMNS = {
  "x [mm]": (spot) => number(spot.x * 1e3, 3),
  "z [mm]": (spot) => number(spot.z * 1e3, 3),
  "Lateral FWHM [mm]": (spot) => number(spot.lateral_fwhm * 1e3, 3),
  "Axial FWHM [mm]": (spot) => number(spot.axial_fwhm * 1e3, 3),
  "Peak side lobe [dB]": (spot) => orNone(spot.peak_sidelobe_db),
  "Integrated side lobes [dB]": (spot) => orNone(spot.integrated_sidelobe_db),
};

function spotTable(point, images) {
  const names = Object.keys(SPOT_COLUMNS);
  const rows = point.spots.flatMap((spot, index) => {
    const name = html("th", { scope: "row" }, images[index].name);
    if (spot.problem)
      return html("tr", {}, name, html("td", { class: "problem", colspan: names.length }, spot.problem));
    const row = html("tr", {}, name, ...Object.values(SPOT_COLUMNS).map((cell) => html("td", {}, cell(spot))));
    if (!spot.warnings.length) return row;
    return [row, html("tr", { class: "doubt" }, html("td", { colspan: names.length + 1 }, spot.warnings.join("; ")))];
  });
  const head = html("tr", {}, ...["Image", ...names].map((text) => html("th", { scope: "col" }, text)));
  return html("div", { class: "wide" }, html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows)));
}

function drawCurves(images) {
  byId("curves-section").hidden = !report.points.length;
  if (!report.points.length) return;
  const points = report.points.map((point) => {
    const spots = measuredSpots(point);
    const sections = (name) => spots.map((spot) => ({ index: spot.index, ...spot[name] }));
    const plots = () => [curvePlot(sections("lateral"), "x", point), curvePlot(sections("axial"), "z", point)];
    return html(
      "article",
      { class: "point" },
      html("h3", {}, `Near ${placeText(point)}`),
      spots.length ? html("div", { class: "plots" }, ...plots()) : "",
      spotTable(point, images),
    );
  });
  const note =
    "Levels of the linear envelope relative to the spot's peak; the dashed line is half of the peak " +
    "(\u22126.02 dB), where widths are measured.";
  byId("curves").append(curveLegend(images), ...points, html("p", { class: "soft" }, note));
}
