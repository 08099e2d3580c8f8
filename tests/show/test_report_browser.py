"""The report page in a browser: pixels, read-out, drawn regions, and numbers equal to Python's."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver import Keys
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

import usbeam as ub
from tests.cli.conftest import installed
from tests.show.browser import MISSING, chromium
from usbeam.measure import metrics, roi
from usbeam.measure.roi import Annulus, Circle, Mask, Polygon, Rectangle, RegionPair
from usbeam.show import report

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

MM = 1e-3
GRID = ub.Grid.linear(x=(-2 * MM, 2 * MM), z=(10 * MM, 16 * MM), shape=(61, 41))
Place = tuple[float, float]


@dataclass
class Page:
    """An open report, used as a person would: by pointer and keys."""

    driver: webdriver.Chrome
    images: dict[str, ub.Image]

    @classmethod
    def open(cls, driver: webdriver.Chrome, path: Path, images: dict[str, ub.Image]) -> Page:
        """The report of some images, once it is drawn."""
        driver.set_script_timeout(60)
        driver.get(path.as_uri())
        driver.execute_async_script(
            """const done = arguments[0];
            const look = () => (document.querySelector("#panels canvas") ? done() : requestAnimationFrame(look));
            look();"""
        )
        page = cls(driver, images)
        page.settle()
        return page

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def script(self, text: str, *arguments: Any) -> Any:
        return self.driver.execute_script(text, *arguments)

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));"
        )

    def click(self, selector: str) -> None:
        self.one(selector).click()
        self.settle()

    def keys(self, selector: str, *keys: str) -> None:
        self.one(selector).send_keys(*keys)
        self.settle()

    def slide(self, name: str, value: float) -> None:
        """Move a slider by the keyboard."""
        slider = self.one(f"#{name}")
        step = Keys.ARROW_RIGHT if value > float(slider.get_property("value")) else Keys.ARROW_LEFT
        for _ in range(500):
            if float(slider.get_property("value")) == value:
                break
            slider.send_keys(step)
        assert float(slider.get_property("value")) == value
        self.settle()

    def frame(self, index: int) -> WebElement:
        return self.all("#panels canvas")[index]

    @property
    def wipe(self) -> WebElement:
        return self.one("#wiper canvas")

    def grey(self, canvas: WebElement, column: float, row: float) -> list[int]:
        """Red, green, blue and alpha of a canvas's own pixel."""
        read = """const [canvas, column, row] = arguments;
            const one = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
            one.drawImage(canvas, column, row, 1, 1, 0, 0, 1, 1);
            return [...one.getImageData(0, 0, 1, 1).data];"""
        return self.script(read, canvas, int(column), int(row))

    def grey_at(self, canvas: WebElement, place: Place, extent: tuple[float, float, float, float]) -> list[int]:
        """The pixel of a canvas whose frame has this extent [mm] that shows a place [m]."""
        width, height = self.script("return [arguments[0].width, arguments[0].height]", canvas)
        left, right, bottom, top = extent
        across, down = (place[0] / MM - left) / (right - left), (place[1] / MM - top) / (bottom - top)
        return self.grey(canvas, across * width, down * height)

    def pixel(self, canvas: WebElement, image: ub.Image, place: Place) -> tuple[int, int]:
        """Where a place of an image is on the screen."""
        self.script("arguments[0].scrollIntoView({block: 'center'})", canvas)
        box = self.script(
            "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height]", canvas
        )
        left, right, bottom, top = image.grid.extent_mm
        across, down = (place[0] / MM - left) / (right - left), (place[1] / MM - top) / (bottom - top)
        return round(box[0] + across * box[2]), round(box[1] + down * box[3])

    def point(self, index: int, *places: Place, press: bool = False) -> None:
        """Move the pointer through places of an image; with the button pressed from the first to the last."""
        canvas, image = self.frame(index), list(self.images.values())[index]
        actions = ActionBuilder(self.driver, duration=0)
        for number, place in enumerate(places):
            actions.pointer_action.move_to_location(*self.pixel(canvas, image, place))
            if press and number == 0:
                actions.pointer_action.pointer_down()
        if press:
            actions.pointer_action.pointer_up()
        actions.perform()
        self.settle()

    def tap(self, index: int, *places: Place) -> None:
        for place in places:
            self.point(index, place, press=True)

    def choose(self, tool: str, part: str | None = None) -> None:
        self.click(f"label[for=tool-{tool}]")
        if part:
            self.click(f"label[for=part-{part}]")

    def results(self) -> list[dict[str, list[Any]]]:
        """Of each pair: CNR, gCNR and pixel counts of each image, or the page's words."""
        return self.script(
            """return [...document.querySelectorAll("tbody.pair")].map((body) => ({
                name: body.querySelector("input.name").value,
                images: [...body.querySelectorAll("[data-image]")].map((row) => ({
                  cnr: row.querySelector(".cnr data")?.value, gcnr: row.querySelector(".gcnr data")?.value,
                  count: row.querySelector(".count")?.textContent,
                  problem: row.querySelector(".problem")?.textContent,
                })),
            }))"""
        )

    def complaints(self) -> list[str]:
        """Whatever the browser wrote to its console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Every address that this page asked for since the last call, its own first."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [each["request"]["url"] for each in asked if each["documentURL"] == self.driver.current_url]

    def download(self, folder: Path) -> Path:
        """The regions' file, once it is there."""
        file = folder / "rois.toml"
        file.unlink(missing_ok=True)
        self.click("#download")
        for _ in range(200):
            if file.exists():
                return file
            time.sleep(0.05)
        pytest.fail("nothing was downloaded")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[webdriver.Chrome, Path]]:
    """A browser, and the folder that it downloads to."""
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder) as driver:
        yield driver, folder


Open = Callable[..., Page]


@pytest.fixture
def show(browser: tuple[webdriver.Chrome, Path], tmp_path: Path) -> Generator[Open]:
    """Write and open a report; in the end, nothing was complained about and nothing asked of the network."""
    driver, _ = browser
    path = tmp_path / "report.html"
    pages: list[Page] = []

    def show(images: dict[str, ub.Image], **options: Any) -> Page:
        report.write(images, path, **options)
        pages.append(Page.open(driver, path, images))
        return pages[-1]

    yield show
    for page in pages:
        assert page.complaints() == []
        asked = page.requests()
        assert asked[0] == path.as_uri()
        assert all(address.startswith("blob:") for address in asked[1:]), asked  # the downloaded regions


def slope(grid: ub.Grid = GRID, offset: float = 0.0) -> ub.Image:
    """Falls by 1 dB from column to column and by 0.25 dB from row to row, from 0 dB at the top left."""
    levels = -offset - np.arange(grid.shape[1]) - 0.25 * np.arange(grid.shape[0])[:, np.newaxis]
    return ub.Image((7.0 * 10 ** (levels / 20)).astype(np.complex64), grid)


def flat(level: float, grid: ub.Grid = GRID) -> ub.Image:
    """One level but for a corner at 0 dB."""
    data = np.full(grid.shape, level, np.float32)
    data[0, 0] = 0
    return ub.Image(data, grid, "db", 60.0)


def speckle(grid: ub.Grid = GRID, *, state: str = "complex", seed: int = 0) -> ub.Image:
    """Speckle with a darker circle of radius 1 mm at (0, 13 mm)."""
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((2, *grid.shape)).astype(np.float32)
    x, z = np.meshgrid(grid.x, grid.z - 13 * MM)
    image = ub.Image(((data[0] + 1j * data[1]) * np.where(np.hypot(x, z) < MM, 0.2, 1)).astype(np.complex64), grid)
    return {"complex": image, "envelope": image.envelope(), "db": image.db(50)}[state]


def shade(level: float, window: float, white: float) -> float:
    return float(np.clip(255 * (level - white + window) / window, 0, 255))


def test_window_and_level_move_the_pixels(show: Open) -> None:
    page = show({"slope": slope()})
    places = [(0, 0), (40, 0), (0, 60), (17, 33), (40, 60)]

    def check(window: float, white: float) -> None:
        for column, row in places:
            red, green, blue, alpha = page.grey(page.frame(0), column, row)
            assert red == green == blue
            assert alpha == 255
            assert red == pytest.approx(shade(-column - 0.25 * row, window, white), abs=0.51)

    check(60, 0)
    page.slide("window", 40)
    check(40, 0)
    page.slide("level", -12)
    check(40, -12)
    assert page.one("#window-value").text == "40 dB"
    assert page.one("#level-value").text == "−12 dB"
    marks = [mark.text for mark in page.all(".bar text")]
    assert marks[0] == "−50" or marks[-2] == "−20", marks
    page.click("#reset")
    check(60, 0)


def test_the_display_starts_at_the_dynamic_range(show: Open) -> None:
    page = show({"slope": slope()}, dynamic_range=45.0)
    assert page.one("#window").get_property("value") == "45"


def test_images_are_true_to_scale(show: Open) -> None:
    wide = ub.Grid.linear(x=(-4 * MM, 4 * MM), z=(10 * MM, 13 * MM), shape=(31, 33))
    page = show({"tall": slope(), "wide": slope(wide)})
    sizes = [page.frame(index).size for index in range(2)]
    scales = []
    for size, grid in zip(sizes, (GRID, wide), strict=True):
        left, right, bottom, top = grid.extent_mm
        scales += [size["width"] / (right - left), size["height"] / (bottom - top)]
    assert np.ptp(scales) < 0.02 * max(scales)  # sizes are whole pixels


def test_uneven_rows_are_drawn_in_place(show: Open) -> None:
    z = np.array([10.0, 10.5, 12, 13, 16]) * MM
    image = ub.Image(
        np.array([[1], [0.1], [0.5], [0.01], [0.2]], np.float32).repeat(3, axis=1), ub.Grid(GRID.x[:3], z), "envelope"
    )
    page = show({"uneven": image})
    for depth, value in [(10.1, 1), (10.7, 0.1), (12.4, 0.5), (13.2, 0.01), (15.0, 0.2)]:
        found = page.grey_at(page.frame(0), (GRID.x[1], depth * MM), image.grid.extent_mm)[0]
        assert found == pytest.approx(shade(20 * np.log10(value), 60, 0), abs=0.51)


def test_the_wipe_goes_from_one_image_to_the_other(show: Open) -> None:
    page = show({"a": flat(-10), "b": flat(-40), "c": flat(-20)})
    place, extent = (0.0, 13 * MM), GRID.extent_mm
    a, b, c = (shade(level, 60, 0) for level in (-10, -40, -20))

    def seen() -> int:
        return page.grey_at(page.wipe, place, extent)[0]

    page.keys("#wipe", Keys.HOME)
    assert seen() == pytest.approx(c, abs=1)
    page.keys("#wipe", Keys.END)
    assert seen() == pytest.approx(a, abs=1)
    page.one("#right").send_keys("b")
    page.keys("#wipe", Keys.HOME)
    assert seen() == pytest.approx(b, abs=1)
    page.slide("level", -10)
    assert seen() == pytest.approx(shade(-40, 60, -10), abs=1)


def test_the_divider_can_be_dragged(show: Open) -> None:
    page = show({"a": flat(-10), "b": flat(-40)})
    image = page.images["a"]
    start, end = (page.pixel(page.wipe, image, (x, 12 * MM)) for x in (0.025 * MM, 1 * MM))
    actions = ActionBuilder(page.driver, duration=50)
    actions.pointer_action.move_to_location(*start).pointer_down().move_to_location(*end).pointer_up()
    actions.perform()
    page.settle()
    left, right, *_ = GRID.extent_mm
    assert float(page.one("#wipe").get_property("value")) == pytest.approx(100 * (1 - left) / (right - left), abs=1)
    for x, level in ((0.8, -10), (1.2, -40)):
        assert page.grey_at(page.wipe, (x * MM, 13 * MM), GRID.extent_mm)[0] == pytest.approx(
            shade(level, 60, 0), abs=1
        )


def test_the_read_out_is_the_nearest_pixel_of_every_image(show: Open) -> None:
    coarse = ub.Grid.linear(x=(-1 * MM, 1 * MM), z=(10 * MM, 14 * MM), shape=(9, 5))
    page = show({"fine": slope(), "coarse": slope(coarse), "dB": flat(-33)})
    for column, row in [(20, 30), (3, 50), (40, 0), (15, 10)]:
        place = (float(GRID.x[column]), float(GRID.z[row]))
        page.point(0, place)
        x, z = (float(part.split()[1].replace("−", "-")) for part in page.one("#place").text.split(","))
        assert (x, z) == pytest.approx((place[0] / MM, place[1] / MM), abs=0.02)  # the pointer moves by whole pixels
        fine, other, third = (reading.get_attribute("data-value") for reading in page.all("output.reading"))
        assert float(fine) == pytest.approx(-column - 0.25 * row, abs=1e-4)
        assert float(third) == (0 if (column, row) == (0, 0) else -33)
        left, right, bottom, top = coarse.extent_mm
        if left <= place[0] / MM <= right and top <= place[1] / MM <= bottom:
            expected = -np.abs(coarse.x - place[0]).argmin() - 0.25 * np.abs(coarse.z - place[1]).argmin()
            assert float(other) == pytest.approx(expected, abs=1e-4)
        else:
            assert other == ""
        assert page.all("output.reading")[0].text == f"{float(fine):.1f} dB".replace("-", "−")
        assert len({path.get_attribute("d") != "" for path in page.all(".cross .line")}) == 1


def python_results(images: dict[str, ub.Image], pairs: dict[str, RegionPair], dynamic_range: float) -> list[Any]:
    return [
        [
            (float(metrics.cnr(image, pair, dynamic_range=dynamic_range)), float(metrics.gcnr(image, pair)))
            for image in images.values()
        ]
        for pair in pairs.values()
    ]


PAIRS = {
    "circle": RegionPair("circle", Circle(0, 13 * MM, 1 * MM), Annulus(0, 13 * MM, 1.2 * MM, 1.9 * MM)),
    "3-4-5": RegionPair("3-4-5", Circle(0.1 * MM, 13 * MM, 0.5 * MM), Annulus(0.1 * MM, 13 * MM, 1.0 * MM, 1.5 * MM)),
    "on pixels": RegionPair(
        "on pixels",
        Rectangle((-0.5 * MM, 0.6 * MM), (12.5 * MM, 13.3 * MM)),
        Rectangle((-1.9 * MM, 1.9 * MM), (10.1 * MM, 10.9 * MM)),
    ),
    "corners": RegionPair(
        "corners",
        Polygon(((-0.5 * MM, 12.5 * MM), (0.7 * MM, 12.6 * MM), (0, 13.9 * MM))),
        # Crosses itself; sides through pixels' centres, one of them along a row
        Polygon(((-1.5 * MM, 14.5 * MM), (1.5 * MM, 15.5 * MM), (1.5 * MM, 14.5 * MM), (-1.5 * MM, 15.5 * MM))),
    ),
    "unround": RegionPair(
        "unround", Circle(1e-3 / 3, 13e-3 + 1e-9 / 7, 0.7e-3), Rectangle((-2e-3, 1e-7), (0.015, 0.016))
    ),
}
UNEVEN = ub.Grid(np.array([-2.0, -1.5, -0.9, -0.3, 0.1, 0.4, 0.8, 1.3, 2]) * MM, np.geomspace(10 * MM, 16 * MM, 90))


def test_regions_give_the_numbers_of_python(show: Open) -> None:
    fine = ub.Grid.linear(x=(-2.2 * MM, 2.2 * MM), z=(9 * MM, 17 * MM), shape=(517, 233))
    images = {
        "complex": speckle(),
        "envelope": speckle(state="envelope", seed=1),
        "dB": speckle(state="db", seed=2),
        "fine": speckle(fine, seed=3),
        "uneven": speckle(UNEVEN, seed=4),
        "zeros": ub.Image(np.where(GRID.x < 0.2 * MM, speckle(seed=5).data, 0), GRID),
    }
    page = show(images, regions=PAIRS, dynamic_range=40.0)
    found = page.results()
    assert [pair["name"] for pair in found] == list(PAIRS)
    for pair, here, there in zip(PAIRS.values(), found, python_results(images, PAIRS, 40.0), strict=True):
        for image, row, (cnr, gcnr) in zip(images.values(), here["images"], there, strict=True):
            assert row["problem"] is None
            counts = " / ".join(str(shape.inside(image.grid).sum()) for shape in (pair.inside, pair.outside))
            assert row["count"] == counts
            assert float(row["gcnr"]) == pytest.approx(gcnr, abs=1e-12)
            assert float(row["cnr"]) == pytest.approx(cnr, rel=1e-6)


def test_sliders_do_not_change_the_numbers(show: Open) -> None:
    page = show({"speckle": speckle()}, regions=PAIRS)
    before = page.results()
    page.slide("window", 25)
    page.slide("level", -20)
    assert page.results() == before


def test_a_mask_is_measured_where_it_fits(show: Open) -> None:
    inside = Circle(0, 13 * MM, 1 * MM).inside(GRID)
    pairs = {"mask": RegionPair("mask", Mask(inside, "cyst.png"), PAIRS["circle"].outside)}
    other = ub.Grid.linear(x=(-2 * MM, 2 * MM), z=(10 * MM, 16 * MM), shape=(60, 41))
    images = {"fits": speckle(), "does not": speckle(other)}
    page = show(images, regions=pairs)
    fits, misfit = page.results()[0]["images"]
    assert float(fits["cnr"]) == pytest.approx(float(metrics.cnr(images["fits"], pairs["mask"])), rel=1e-6)
    assert "another image" in misfit["problem"]
    assert "cyst.png, not editable" in page.one("#pairs").text
    assert page.one("g.inside .line").get_attribute("d").count("M") == len(np.unique(np.nonzero(inside)[0]))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Circle(1.5 * MM, 13 * MM, 1 * MM), "reaches 0.45 mm outside"),
        (Circle(0.05 * MM, 12.05 * MM, 0.01 * MM), "no pixel's centre"),
    ],
)
def test_what_cannot_be_measured_is_said(show: Open, shape: Circle, words: str) -> None:
    page = show({"speckle": speckle()}, regions={"a": RegionPair("a", shape, PAIRS["circle"].outside)})
    assert words in page.results()[0]["images"][0]["problem"]


def test_no_variance_is_said(show: Open) -> None:
    empty = ub.Image(np.zeros(GRID.shape, np.float32), GRID, "envelope")
    page = show({"flat": flat(-20), "empty": empty}, regions={"circle": PAIRS["circle"]})
    for row in page.results()[0]["images"]:
        assert row["problem"] == "no variance"
        assert row["cnr"] is None
        assert float(row["gcnr"]) == 0
    page.point(1, (0, 13 * MM))
    assert [reading.text for reading in page.all("output.reading")] == ["−20.0 dB", "−∞ dB"]
    assert page.grey(page.frame(1), 20, 30) == [0, 0, 0, 255]


def test_drawn_regions_are_evaluated_alike(show: Open, browser: tuple[webdriver.Chrome, Path], tmp_path: Path) -> None:
    """The user's way: draw, read the numbers, download, run ``usbeam evaluate`` on the image files."""
    coarse = ub.Grid.linear(x=(-2.5 * MM, 2.5 * MM), z=(9 * MM, 17 * MM), shape=(140, 80))
    images = {"one": speckle(), "other": speckle(coarse, seed=1), "dB": speckle(state="db", seed=2)}
    files = [tmp_path / f"{name}.h5" for name in images]
    for image, file in zip(images.values(), files, strict=True):
        image.save(file)
    page = show(images)

    page.choose("circle", "inside")
    page.point(0, (0, 13 * MM), (0.3 * MM, 13 * MM), (0.8 * MM, 13.1 * MM), press=True)
    page.choose("circle", "outside")
    page.point(1, (0.1 * MM, 15 * MM), (0.7 * MM, 15.2 * MM), press=True)
    page.click("#new-pair")
    page.choose("rectangle")
    page.point(0, (-0.6 * MM, 12.6 * MM), (0.1 * MM, 13 * MM), (0.5 * MM, 13.5 * MM), press=True)
    page.choose("polygon")  # becomes the background, for that is next
    corners = [(-1.8 * MM, 10.4 * MM), (1.5 * MM, 10.5 * MM), (1.2 * MM, 11.4 * MM), (-1 * MM, 11.5 * MM)]
    page.tap(0, *corners, corners[0])
    page.click("#new-pair")
    page.choose("circle", "inside")
    page.point(2, (-0.1 * MM, 13.1 * MM), (0.2 * MM, 13.5 * MM), press=True)
    page.all("tbody.current .pair-head button")[0].click()
    page.settle()

    toml = page.download(browser[1])
    pairs = roi.load(toml)
    kinds = {name: (type(pair.inside), type(pair.outside)) for name, pair in pairs.items()}
    assert kinds == {
        "region 1": (Circle, Circle),
        "region 2": (Rectangle, Polygon),
        "region 3": (Circle, Annulus),
    }
    shape = pairs["region 1"].inside
    assert isinstance(shape, Circle)
    assert (shape.x, shape.z, shape.radius) == pytest.approx((0, 13 * MM, 0.806 * MM), abs=0.02 * MM)

    ended = installed("evaluate", *files, "--rois", toml, "--json")
    assert ended.code == 0, ended.err
    evaluated = json.loads(ended.out)["images"]
    shown = page.results()
    assert len(shown) == 3
    for index, pair in enumerate(shown):
        for row, report_of_image in zip(pair["images"], evaluated, strict=True):
            figures = report_of_image["pairs"][index]
            assert figures["name"] == pair["name"]
            assert float(row["gcnr"]) == pytest.approx(figures["gcnr"], abs=1e-12)
            assert float(row["cnr"]) == pytest.approx(figures["cnr"], rel=1e-6)
    mean = [float(cell.get_attribute("value")) for cell in page.all("tbody.mean .cnr data")]
    assert mean == pytest.approx([each["mean"]["cnr"] for each in evaluated], rel=1e-6)


def test_what_was_loaded_is_downloaded_to_the_last_bit(show: Open, browser: tuple[webdriver.Chrome, Path]) -> None:
    names = ["circle", "ünïcode", 'quote " back \\ slash', "[table]", "new\nline\x7f", "a.b", "__proto__"]
    parts = [(pair.inside, pair.outside) for pair in PAIRS.values()] * 2
    pairs = {name: RegionPair(name, *both) for name, both in zip(names, parts, strict=False)}
    page = show({"speckle": speckle()}, regions=pairs)
    assert roi.load(page.download(browser[1])) == pairs


def test_regions_are_moved_resized_undone_and_deleted(show: Open) -> None:
    page = show({"a": speckle(), "b": speckle(seed=1)}, regions={"circle": PAIRS["circle"]})

    def fields() -> list[float]:
        return [float(field.get_property("value")) for field in page.all("tbody.current .shape:nth-of-type(1) input")]

    before, numbers = fields(), page.results()
    assert before == [0, 13, 1]
    page.point(1, (0.3 * MM, 13.2 * MM), (0.6 * MM, 13.6 * MM), press=True)
    assert fields() == pytest.approx([0.3, 13.4, 1], abs=0.02)
    assert page.results() != numbers
    page.point(0, (1.3 * MM, 13.4 * MM), (0.8 * MM, 13.4 * MM), press=True)  # the handle on the rim
    assert fields() == pytest.approx([0.3, 13.4, 0.5], abs=0.03)
    for _ in range(2):
        page.click("#undo")
    assert fields() == before
    assert page.results() == numbers
    assert not page.one("#undo").is_enabled()
    page.point(0, (0.2 * MM, 13 * MM), press=True)
    page.one("#panels .overlay").send_keys(Keys.DELETE)
    page.settle()
    assert "no foreground yet" in page.results()[0]["images"][0]["problem"]
    assert not page.one("#download").is_enabled()
    page.one("body").send_keys(Keys.CONTROL, "z")
    page.settle()
    assert page.results() == numbers


def test_numbers_and_names_can_be_typed(show: Open) -> None:
    page = show({"a": speckle()}, regions={name: PAIRS[name] for name in ("circle", "3-4-5")})
    everything = Keys.CONTROL + "a" + Keys.NULL
    page.keys("#pair-0-inside-radius", everything, "0.7", Keys.TAB)
    changed = RegionPair("circle", Circle(0, 13 * MM, 0.7 * MM), PAIRS["circle"].outside)
    expected = float(metrics.cnr(speckle(), changed))
    assert float(page.results()[0]["images"][0]["cnr"]) == pytest.approx(expected, rel=1e-6)
    page.keys("#pair-0-inside-radius", everything, "-1", Keys.ENTER)
    assert page.one("#pair-0-inside-radius").get_property("value") == "0.7"
    for name, kept in (("cyst", "cyst"), ("3-4-5", "cyst"), ("  ", "cyst")):
        page.keys("#pair-0-name", everything, name, Keys.ENTER)
        assert page.results()[0]["name"] == kept


def test_the_part_that_a_pair_lacks_is_next(show: Open) -> None:
    page = show({"a": speckle()})
    page.choose("rectangle", "outside")
    page.point(0, (-1.5 * MM, 11 * MM), (1.5 * MM, 11.8 * MM), press=True)
    assert "no foreground yet" in page.results()[0]["images"][0]["problem"]
    assert page.one("#part-inside").is_selected()
    page.point(0, (-0.5 * MM, 12.7 * MM), (0.5 * MM, 13.3 * MM), press=True)
    before = page.results()
    assert before[0]["images"][0]["problem"] is None
    page.point(0, (-0.5 * MM, 12.7 * MM), (0.3 * MM, 13.1 * MM), press=True)  # again: takes the place of the last
    assert len(page.results()) == 1
    assert page.results() != before


def test_regions_are_drawn_by_keys(show: Open) -> None:
    page = show({"a": speckle()})
    overlay = "#panels .overlay"
    page.choose("circle")
    page.keys(overlay, Keys.ENTER)
    page.choose("polygon", "outside")
    page.keys(overlay, *[Keys.ARROW_UP] * 9, Keys.ENTER)
    page.keys(overlay, Keys.SHIFT + Keys.ARROW_RIGHT + Keys.ARROW_RIGHT, Keys.NULL, Keys.ENTER)
    page.keys(overlay, Keys.SHIFT + Keys.ARROW_DOWN, Keys.NULL, Keys.ENTER, Keys.ENTER)
    (row,) = page.results()[0]["images"]
    assert row["problem"] is None
    assert float(row["gcnr"]) > 0.5


def test_spots_are_shown_with_pythons_figures(show: Open) -> None:
    x, z = np.meshgrid(GRID.x / (0.6 * MM), (GRID.z - 13 * MM) / (0.5 * MM))
    spot = ub.Image(np.exp(-4 * np.log(2) * (x**2 + z**2)).astype(np.complex64), GRID)
    page = show({"spot": spot, "dB": spot.db(60)}, points=[(0.0, 13 * MM), (9 * MM, 13 * MM)])
    rows = page.all("#curves tbody tr")
    figures = [float(cell.get_attribute("value")) for cell in rows[0].find_elements(By.CSS_SELECTOR, "data")]
    assert figures[:4] == pytest.approx([0, 13, 0.6, 0.5], abs=1e-3)
    assert "dB image" in page.all("#curves tbody .problem")[0].text
    assert len(page.all("#curves .plot .curve")) == 2
    assert len(page.all("#curves .problem")) == 3  # none of them near the second place


HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_text_from_files_is_shown_and_runs_nothing(show: Open) -> None:
    script = "<script>alert(2)</script>"
    image = ub.Image(
        speckle().data, GRID, settings={HOSTILE: script, "list": [script]}, source={"file": "javascript:alert(3)"}
    )
    page = show(
        {HOSTILE: image, script: image},
        regions={HOSTILE: RegionPair(HOSTILE, PAIRS["circle"].inside, PAIRS["circle"].outside)},
        points=[(0.0, 13 * MM)],
        title=f"</title>{HOSTILE}<!--",
    )
    assert page.driver.title == f"</title>{HOSTILE}<!--"
    assert page.one("h1").text == f"</title>{HOSTILE}<!--"
    assert page.all("#panels .name")[0].text == HOSTILE
    assert page.results()[0]["name"] == HOSTILE
    assert page.one("g.inside text").text == HOSTILE
    assert [option.text for option in page.all("#left option")] == [HOSTILE, script]
    page.click("#settings summary")
    assert HOSTILE in page.one("#settings").text
    assert script in page.one("#settings").text
    assert not page.all("img")
    assert len(page.all("script")) == 2


def test_names_of_files_and_regions_run_nothing(browser: tuple[webdriver.Chrome, Path], tmp_path: Path) -> None:
    """The command's way in: a file's own name and a table of TOML."""
    name = "<img src=x onerror=alert(1)>"
    speckle().save(tmp_path / f"{name}.h5")
    rois, path = tmp_path / "rois.toml", tmp_path / "report.html"
    rois.write_text(roi.dumps({HOSTILE: PAIRS["circle"]}))
    ended = installed("report", tmp_path / f"{name}.h5", "--rois", rois, "-o", path)
    assert ended.code == 0, ended.err
    page = Page.open(browser[0], path, {name: speckle()})
    assert page.driver.title == page.one("#panels .name").text == name
    assert page.results()[0]["name"] == HOSTILE
    assert not page.all("img")
    assert page.complaints() == []


def test_the_page_may_not_reach_the_network(show: Open) -> None:
    page = show({"a": speckle()})
    refused = page.driver.execute_async_script(
        """const done = arguments[0];
        fetch("https://example.com/").then(() => done(false), () => done(true));"""
    )
    assert refused
    assert any("Content Security Policy" in complaint for complaint in page.complaints())


def test_dark_follows_the_reader(show: Open) -> None:
    page = show({"a": speckle()})

    def paper() -> str:
        return page.script("return getComputedStyle(document.body).backgroundColor")

    light = paper()
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    dark = paper()
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    brightness = [sum(int(part) for part in re.findall(r"\d+", colour)) for colour in (light, dark)]
    assert brightness[0] > 600
    assert brightness[1] < 150
