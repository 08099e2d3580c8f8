"""What `benchmarks/peers.py` runs: the standard work, one driver for each package, and the clock.

`work` and `drivers` need NumPy only, so that they run in the peers' environment, where usbeam is not installed.
"""
