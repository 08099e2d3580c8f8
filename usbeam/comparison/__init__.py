"""Methods against each other and against controls, on the same images and regions, at the same sharpness."""

from usbeam.comparison.comparing import Comparison, compare

__all__ = ["Comparison", "compare"]
