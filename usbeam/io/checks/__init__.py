"""Whether a recording makes physical sense: the second layer of `usbeam.io.validate`.

`geometry` and `sampling` judge the header, `samples` what was recorded. Importing this package registers them all.
"""

from __future__ import annotations

from usbeam.io.checks import geometry as geometry
from usbeam.io.checks import sampling as sampling
from usbeam.io.checks.registry import physics_findings

__all__ = ["physics_findings"]
