"""Web pages that are single files: one stylesheet, charts, and templates filled with both."""

from vid2vid.pages.figures import Series, figure, line_chart
from vid2vid.pages.template import fill_page

__all__ = ["Series", "figure", "fill_page", "line_chart"]
