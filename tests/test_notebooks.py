"""The notebooks: kept without outputs, run by nbmake as part of the test command, and 05 on both of its sources."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


@pytest.fixture(scope="module")
def strip() -> ModuleType:
    specification = importlib.util.spec_from_file_location("strip", FOLDER / "strip.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs."""
    notebook = read(path)
    NotebookClient(notebook, timeout=180).execute(cwd=str(path.parent))
    return notebook


def printed(notebook: nbformat.NotebookNode, stream: str = "stdout") -> str:
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return "".join(output.text for output in outputs if output.output_type == "stream" and output.name == stream)


# How they are kept


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_stripped(path: Path, strip: ModuleType) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == strip.stripped(text), "run `python notebooks/strip.py`"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_valid_with_an_id_for_every_cell(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_strip_keeps_cells_and_nothing_else(strip: ModuleType) -> None:
    image = nbformat.v4.new_output("display_data", {"image/png": "AAAA"})
    code = nbformat.v4.new_code_cell("1 + 1", id="sum", execution_count=7, outputs=[image], metadata={"a": 1})
    words = nbformat.v4.new_markdown_cell("Words", id="words", metadata={"b": 2})
    widgets = {"widgets": {"state": {}}, "kernelspec": {"name": "mine", "display_name": "mine"}}
    left = nbformat.reads(
        strip.stripped(nbformat.writes(nbformat.v4.new_notebook(cells=[words, code], metadata=widgets))), as_version=4
    )
    assert [(cell.id, cell.source, dict(cell.metadata)) for cell in left.cells] == [
        ("words", "Words", {}),
        ("sum", "1 + 1", {}),
    ]
    assert (left.cells[1].outputs, left.cells[1].execution_count) == ([], None)
    assert left.metadata == strip.METADATA


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_links_lead_somewhere(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)#:]+)\)", cell.source):
                assert (FOLDER / link).exists(), link


def test_readme_names_them_all() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\w+)\.ipynb\)", page) == NAMES


# That they run


def test_the_test_command_runs_them(pytestconfig: pytest.Config) -> None:
    assert FOLDER.name in pytestconfig.getini("testpaths")
    assert pytestconfig.getoption("nbmake")


@pytest.fixture
def leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A notebook may write where temporary files go, and must tidy up there."""
    before = sorted(FOLDER.iterdir())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield
    assert sorted(FOLDER.iterdir()) == before
    assert not list(tmp_path.iterdir())


def check_pins(notebook: nbformat.NotebookNode) -> None:
    """Both pins at their places, and two wrong start times told from the image."""
    text = printed(notebook)
    off = [float(number) for pair in re.findall(r"off by \((\S+), (\S+)\) mm", text) for number in pair]
    assert len(off) == 4
    assert max(map(abs, off)) < 0.1
    late = [(float(said), float(found)) for said, found in re.findall(r"(\S+) us late: .* hence (\S+) us", text)]
    assert [said for said, _ in late] == [0, 0.7, 5]
    assert all(abs(said - found) < 0.1 for said, found in late)
    assert "no variable MWb" in text
    assert not printed(notebook, "stderr")


@pytest.mark.usefixtures("leaves_nothing")
def test_your_own_recording_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USBEAM_REAL_DATA", "no/such/folder")
    notebook = run(FOLDER / "05_your_own_recording.ipynb")
    assert "simulated recording" in printed(notebook)
    check_pins(notebook)


@pytest.mark.real_data
@pytest.mark.usefixtures("leaves_nothing")
def test_your_own_recording_real(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USBEAM_REAL_DATA", str(real_data))
    notebook = run(FOLDER / "05_your_own_recording.ipynb")
    assert "real recording" in printed(notebook)
    check_pins(notebook)
