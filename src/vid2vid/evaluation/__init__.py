"""How good is a synthesised video? Metrics over frames and over time, controls, and a report to look at."""

from vid2vid.evaluation.drift import Drift
from vid2vid.evaluation.metrics import METRICS, Context, Metric
from vid2vid.evaluation.report import markdown_table
from vid2vid.evaluation.scoring import evaluate

__all__ = ["METRICS", "Context", "Drift", "Metric", "evaluate", "markdown_table"]
