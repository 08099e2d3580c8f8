"""A report: images, regions and curves in one HTML page that needs no server and no network."""

from usbeam.show.report.page import MAX_PIXELS, write

__all__ = ["MAX_PIXELS", "write"]
