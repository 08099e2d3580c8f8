"""Reading in a child process, for files that may crash, hang or bloat the library that reads them.

The HDF5 library can abort on some damaged files, which no Python code can catch. Here such an end is an ordinary error.
The child answers in JSON: whatever a hostile file makes of it, its answer is data and no code.

The time is limited on every system. The memory is limited where the system does that, as Linux does; macOS and Windows
do not.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psutil

from usbeam import errors
from usbeam.errors import FileFormatError, UsbeamError
from usbeam.io.findings import Finding, Importance
from usbeam.io.validate import validate as validate_here

MEMORY = 4 * 2**30
"""Bytes that the child may take beyond what it starts with."""
SECONDS = 600.0
"""Time that the child may take."""
_SIDES = ("path", "location", "expected", "found", "hint")
_HINT = "the file is damaged in a way that the library which reads it does not survive"


def run(job: Callable[..., Any], /, *arguments: Any, memory: int = MEMORY, seconds: float = SECONDS) -> Any:
    """Call a function in a child process, and give what it returns.

    Parameters
    ----------
    job
        A function at the top level of a module. The first of its arguments is the file that it reads.
    arguments
        Of types that JSON knows, as is what the function returns.
    memory
        Bytes that the child may take beyond what it starts with.
    seconds
        Time that it may take, its start included.

    Raises
    ------
    UsbeamError
        What the function raises.
    FileFormatError
        If the child crashes, takes too long or too much memory, or ends with any other exception.

    Examples
    --------
    >>> run(os.path.getsize, __file__) == os.path.getsize(__file__)
    True
    """
    path = str(arguments[0])
    request = {"module": job.__module__, "name": job.__qualname__, "arguments": arguments, "memory": memory}
    try:
        child = subprocess.run(
            # -P: a file in the working directory must not be taken for a module.
            [sys.executable, "-P", "-c", f"from {__name__} import serve; serve()"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(each or os.getcwd() for each in sys.path)},
        )
    except subprocess.TimeoutExpired as error:
        raise FileFormatError(f"reading it took more than {seconds:g} s", path=path, hint=_HINT) from error
    try:
        answer = json.loads(child.stdout)
        error = _error(answer["error"]) if answer["error"] else None
    except (ValueError, LookupError, TypeError) as damaged:
        end = _end(child.returncode)
        raise FileFormatError(f"the process that read it {end}", path=path, hint=_HINT) from damaged
    if error:
        raise error
    return answer["value"]


def validate(
    path: str | os.PathLike[str],
    *,
    full: bool = False,
    max_gb: float | None = None,
    memory: int = MEMORY,
    seconds: float = SECONDS,
) -> list[Finding]:
    """`usbeam.io.validate` in a child process.

    Parameters
    ----------
    path, full, max_gb
        As there.
    memory, seconds
        See `run`.

    Raises
    ------
    FileAccessError, FileFormatError
        As there, and if the child crashes, takes too long or too much memory.
    """
    plain: list[dict[str, Any]] = run(_validate, os.fspath(path), full, max_gb, memory=memory, seconds=seconds)
    return [_finding(each) for each in plain]


def _validate(path: str, full: bool, max_gb: float | None) -> list[dict[str, Any]]:
    """Findings in types that JSON knows."""
    found = validate_here(path, full=full, max_gb=max_gb)
    return [{**dataclasses.asdict(each), "error": each.error.__name__} for each in found]


def _finding(plain: dict[str, Any]) -> Finding:
    importance, error = Importance(plain.pop("importance")), getattr(errors, plain.pop("error"))
    return Finding(importance=importance, error=error, **plain)


def serve() -> None:
    """Do, in the child, what `run` asks for on stdin, and answer on what was stdout when it began."""
    request = json.loads(sys.stdin.buffer.read())
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    job = getattr(importlib.import_module(request["module"]), request["name"])
    _limit(request["memory"])
    value = error = None
    try:
        value = job(*request["arguments"])
    except UsbeamError as raised:
        error = {"kind": type(raised).__name__, "what": raised.what} | {name: getattr(raised, name) for name in _SIDES}
    except MemoryError:
        error = {"kind": "TooLarge", "what": f"reading it took more than {request['memory'] / 1e9:.3g} GB"}
    except Exception as raised:  # noqa: BLE001  (whatever it is, the parent says it)
        error = {"kind": "FileFormatError", "what": f"reading it failed with {type(raised).__name__}: {raised}"}
    if error and not error.get("path"):
        error["path"] = str(request["arguments"][0])
    with os.fdopen(answers, "w", encoding="utf-8") as stream:
        json.dump({"value": value, "error": error}, stream)


def _limit(memory: int) -> None:
    """Limit the memory of this process, where the system does that, and leave no image of it when it crashes."""
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        allowed = psutil.Process().memory_info().vms + memory
        resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def _error(plain: dict[str, Any]) -> UsbeamError:
    """An error as the child describes it."""
    kind = getattr(errors, plain.pop("kind"))
    return kind(plain.pop("what"), **plain)


def _end(code: int) -> str:
    """In words, how a process ended."""
    if code >= 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"crashed ({name})"
