"""What a run looks like to its reader."""

from bench.report.markdown import markdown
from bench.report.page import page
from bench.report.terminal import show

__all__ = ["markdown", "page", "show"]
