"""``python -m usbeam`` is the command ``usbeam``."""

from usbeam.cli.main import run

run()
