"""The report: pictures and a page from a tuned file alone. Rows -> charts -> page, picture, text.

In scope: what is in the file. Out of scope: measuring, and deciding what the numbers mean.
"""

from autotune.report.markdown import markdown
from autotune.report.page import page
from autotune.report.picture import choose, png, svg

__all__ = ["choose", "markdown", "page", "png", "svg"]
