"""CUDA graphs on the host: what `usbeam.train.replay` does with torch's, without a GPU.

Within `torch.cuda.graph` every operation is noted with its very tensors; a replay does the same operations on the same
tensors again, whatever is in them by then. As in a real graph, what Python made of the first image stays as it was.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from usbeam.train.networks import Network


class Graph(TorchDispatchMode):
    """Stands for ``torch.cuda.CUDAGraph``."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.noted.append((func, args, kwargs or {}, made))
        return made

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, made in self.noted:
            again = func(*args, **kwargs)
            pairs = zip(made, again, strict=True) if isinstance(made, tuple) else [(made, again)]
            for tensor, value in pairs:
                tensor.copy_(value)


class _Stream:
    def wait_stream(self, other: _Stream) -> None:
        pass

    def synchronize(self) -> None:
        pass


@contextmanager
def _captured(graph: Graph) -> Generator[None]:
    with graph:
        yield


def install(patch: pytest.MonkeyPatch) -> None:
    """What `usbeam.train.replay` calls, on the host."""
    zeros, empty, to = torch.zeros, torch.empty, Network.to
    patch.setattr(torch, "zeros", lambda *given, device=None, **named: zeros(*given, **named))
    patch.setattr(torch, "empty", lambda *given, pin_memory=None, **named: empty(*given, **named))
    patch.setattr(torch.cuda, "CUDAGraph", Graph)
    patch.setattr(torch.cuda, "graph", _captured)
    patch.setattr(torch.cuda, "Stream", _Stream)
    patch.setattr(torch.cuda, "current_stream", _Stream)
    patch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    patch.setattr(
        Network, "to", lambda self, *given, **named: self if given == ("cuda",) else to(self, *given, **named)
    )
