"""The report: pictures and a page from a tuned file alone. Series -> charts -> page, picture, text.

In scope: what is in the file. Out of scope: measuring, and deciding what the numbers mean.
"""

from autotune.reports.markdown import markdown
from autotune.reports.page import page
from autotune.reports.picture import choose, png, svg

__all__ = ["choose", "markdown", "page", "png", "svg"]
