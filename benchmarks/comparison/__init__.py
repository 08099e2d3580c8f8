"""Despeckling methods on simulated recordings, judged at the same edge width: ``python -m benchmarks.comparison``.

`scenes` draws phantoms for selection and for test, `regions` says what is measured in them, `images` beamforms them
once, `protocol` chooses settings on the one set and applies them to the other, `report` writes what came out.
"""
