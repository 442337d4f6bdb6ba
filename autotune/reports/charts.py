"""All pictures of a tuned file."""

from autotune.config_file import TunedFile
from autotune.reports import answer_charts as answer
from autotune.reports import search_charts as search
from autotune.reports.chart import Chart


def charts(tuned: TunedFile) -> list[Chart]:
    """Return the pictures that the file has data for, in the order of the page."""
    found = [
        answer.latency(tuned),
        answer.policy(tuned),
        *answer.distributions(tuned),
        answer.parts(tuned),
        answer.trade_offs(tuned),
        search.lattice(tuned),
        search.regret(tuned),
        search.prediction(tuned),
    ]
    return [chart for chart in found if chart is not None]
