"""What the site does beyond mkdocs.yml: files of the repository become pages, and the command line describes itself.

A page links to other files as they lie in the repository, so that its links lead somewhere wherever the page is read.
On the site those files have their own places; links are turned toward them.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.cli import get_docs_for_click
from typer.main import get_command

from usbeam.cli.main import app

ROOT = Path(__file__).parents[1]
PUBLISHED = (
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "data_specs/README.md",
    "data_specs/mappings/README.md",
    "data_specs/time_zero.svg",
    "notebooks/README.md",
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")),
)
"""Files outside docs/ that the site shows, each under its own path."""
COMMANDS = "<!-- commands -->"
"""Where a page wants every command with its arguments and options."""
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|[#/])([^)\s#]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is published from outside docs/."""
    for path in PUBLISHED:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links toward where things lie on the site, and let the command line speak."""
    place = page.file.src_uri
    if place.startswith("data_specs/"):
        page.meta["hide"] = ["toc"]  # its tables need the room
    markdown = _LINK.sub(lambda link: _on_site(link[1], place), markdown)
    return markdown.replace(COMMANDS, _commands()) if COMMANDS in markdown else markdown


def _on_site(link: str, place: str) -> str:
    """A link of the page at `place` as it reads on the site, where docs/ is the root."""
    here = posixpath.dirname(place if place in PUBLISHED else f"docs/{place}")
    target = posixpath.normpath(posixpath.join(here, link))
    return posixpath.relpath(target.removeprefix("docs/"), posixpath.dirname(place) or ".")


def _commands() -> str:
    """Every command of the program as Markdown, by Typer's own writer."""
    program = get_command(app)
    context = typer.Context(program, info_name="usbeam")
    return "\n".join(
        get_docs_for_click(obj=command, ctx=context, indent=1, call_prefix="usbeam")
        for command in vars(program)["commands"].values()
    )
