"""The future of a clip: label maps forecast from the observed ones, and rendered; and how good that is."""

from vid2vid.prediction.predict import predict
from vid2vid.prediction.score import score
from vid2vid.prediction.table import prediction_table

__all__ = ["predict", "prediction_table", "score"]
