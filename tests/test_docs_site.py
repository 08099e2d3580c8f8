"""The documentation site: it builds without a warning, links lead somewhere, nothing is loaded from elsewhere, and the
examples of its pages run.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

import usbeam as ub
from usbeam.cli.main import app

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LOADS = ("src", "data", "srcset", "poster", "background")
"""Attributes that make a browser fetch something."""
SECTION = "\0"
"""Stands where a section begins, in the text of a page."""


class Page(HTMLParser):
    """What one built page is made of."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.ids.add(value)
            elif name == "href":
                leads = tag == "a" or dict(attrs).get("rel") in ("canonical", "prev", "next")
                (self.links if leads else self.loads).append(value or "")
            elif name in LOADS:
                self.loads.append(value or "")

            if tag == "h2" and name == "id":
                self.words.append(f"{SECTION}{value} ")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def sections(self) -> dict[str, str]:
        """Text below each second-level heading, by the heading's id."""
        parts = (part.partition(" ") for part in "".join(self.words).split(SECTION)[1:])
        return {name: text for name, _, text in parts}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does it, where any warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "WARNING" not in ended.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page that was built."""
    return {path: Page(path) for path in site.rglob("*.html")}


def navigation(entries: Any = None) -> Iterator[str]:
    """The Markdown files of the navigation, in order."""
    if entries is None:
        entries = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    for entry in entries:
        for target in entry.values() if isinstance(entry, dict) else [entry]:
            yield from [target] if isinstance(target, str) else navigation(target)


def built(source: str) -> str:
    """Where a Markdown file is found on the site."""
    path = Path(source)
    return path.with_name("index.html" if path.stem == "README" else f"{path.stem}.html").as_posix()


def test_the_navigation_names_every_page(site: Path, pages: dict[Path, Page]) -> None:
    found = {path.relative_to(site).as_posix() for path in pages} - {"404.html"}
    assert found == {built(source) for source in navigation()}


def test_links_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    broken: list[str] = []
    for path, page in pages.items():
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].ids if target in pages else set()
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in known):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    for path, page in pages.items():
        assert [load for load in page.loads if urlsplit(load).scheme or urlsplit(load).netloc] == [], path
        assert "mermaid" not in path.read_text(encoding="utf-8"), "the theme fetches what draws such diagrams"
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


def public_names() -> Iterator[tuple[str, str]]:
    """What `usbeam` and its modules offer: the name as a user writes it, and where it is defined."""
    for name in set(ub.__all__) - {"__version__"}:
        value = getattr(ub, name)
        if not isinstance(value, ModuleType):
            yield f"usbeam.{name}", f"{value.__module__}.{name}"
            continue
        yield f"usbeam.{name}", value.__name__
        handed_on = re.findall(r"import (\w+) as \1\b", inspect.getsource(value))
        offered = getattr(value, "__all__", handed_on)
        for each, member in vars(value).items():
            if each.startswith("_") or not (inspect.isfunction(member) or inspect.isclass(member)):
                continue
            if member.__module__ == value.__name__ or each in offered:
                yield f"usbeam.{name}.{each}", f"{member.__module__}.{each}"


def test_every_public_name_is_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    ids = set().union(*(page.ids for path, page in pages.items() if path.parent.name == "reference"))
    assert [names[0] for names in public_names() if not ids & set(names)] == []
    assert "__version__" in "".join(pages[site / "reference" / "index.html"].words)


def test_every_command_is_on_the_page_of_the_command_line(site: Path, pages: dict[Path, Page]) -> None:
    program = typer.main.get_command(app)
    shown = CliRunner().invoke(app, ["--help"]).output
    page = pages[site / "reference" / "cli.html"]
    assert set(re.findall(r"(?<!-)--[a-z-]+", shown)) <= set(re.findall(r"(?<!-)--[a-z-]+", "".join(page.words)))
    sections = page.sections()
    for name, command in vars(program)["commands"].items():
        assert re.search(rf"\b{name}\b", shown)
        for parameter in command.params:
            assert [option for option in parameter.opts if option not in sections[f"usbeam-{name}"]] == [], name


BLOCK = re.compile(r"^```(python|sh|text|toml)(?: title=\"([\w.]+)\")?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PRINTED = re.compile(r"^print\(.*\)  # (.+)$", re.MULTILINE)


@cache
def examples() -> dict[str, list[tuple[str, str, str]]]:
    """Page -> its blocks (language, title, text) in order."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for path in [DOCS / f"{name}.md" for name in ("quickstart", "psf", "report")] + sorted(DOCS.glob("*/*.md")):
        blocks = BLOCK.findall(path.read_text(encoding="utf-8"))
        if path.name == "report.md":  # its commands take long, and read a file that is drawn by hand
            blocks = [block for block in blocks if block[0] == "python"]
        if blocks:
            found[path.relative_to(DOCS).as_posix()] = blocks
    return found


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``recording.h5`` that pages take to be at hand: points, every element fires alone."""
    probe = ub.Probe.linear(24, 0.2e-3, 7.5e6, bandwidth=0.65, element_width=0.18e-3)
    phantom = ub.simulate.phantoms.points(x=(-3e-3, 3e-3), z=(8e-3, 16e-3), spacing=4e-3)
    fired = ub.Transmits.elements(probe, pulse_peak_time=0.3e-6)
    path = tmp_path_factory.mktemp("recording") / "recording.h5"
    ub.simulate.record(phantom, probe, fired, sampling_frequency=31.25e6, depth=(8e-3, 16e-3)).save(path)
    return path


@pytest.mark.parametrize("page", examples())
def test_examples_run(
    page: str, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """From top to bottom: Python shares its names, commands are typed into the program and print what the text below
    them says, titled blocks are files.
    """
    monkeypatch.chdir(tmp_path)
    shutil.copy(recording, tmp_path)
    names: dict[str, object] = {}
    typed: list[str] = []
    for language, title, text in examples()[page]:
        if language == "python":
            exec(compile(text, page, "exec"), names)
            printed = capsys.readouterr().out.splitlines()
            assert [line for line in PRINTED.findall(text) if line not in printed] == []
        elif language == "toml":
            Path(title).write_text(text, encoding="utf-8")
        elif language == "text":
            assert [line for line in text.splitlines() if line not in [*typed, "..."]] == []
        else:
            typed = []
            for line in text.replace("\\\n", "").splitlines():
                program, *arguments = shlex.split(line, comments=True)
                assert program == "usbeam"
                ended = CliRunner().invoke(app, arguments)
                assert ended.exit_code == 0, f"{line}\n{ended.output}\n{ended.exception!r}"
                typed += ended.stdout.splitlines()


def test_it_works_from_disk(site: Path) -> None:
    """Search included; no request leaves the folder, and the console stays empty."""
    selenium = pytest.importorskip("selenium.webdriver")
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("no chromium and chromedriver on this machine")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = selenium.Chrome(options=options, service=selenium.ChromeService(driver))
    try:
        chrome.get((site / "concepts" / "time-zero.html").as_uri())
        chrome.get((site / "index.html").as_uri())
        chrome.execute_script(
            "const box = document.querySelector('.md-search__input'); box.focus(); box.value = 'wavelength';"
            "box.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}))"
        )
        found, until = [], time.monotonic() + 20
        while not found and time.monotonic() < until:
            found = chrome.find_elements("css selector", ".md-search-result__link")
            time.sleep(0.1)
        assert found
        assert chrome.get_log("browser") == []
        sent = [json.loads(entry["message"])["message"] for entry in chrome.get_log("performance")]
    finally:
        chrome.quit()
    urls = [each["params"]["request"]["url"] for each in sent if each["method"] == "Network.requestWillBeSent"]
    assert len(urls) > 5
    assert [url for url in urls if not url.startswith((site.as_uri(), "data:", "about:"))] == []
