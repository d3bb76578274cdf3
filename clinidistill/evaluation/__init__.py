"""Evaluation: how well one set of spans agrees with another."""

from clinidistill.evaluation.scoring import Predictor, evaluate

__all__ = ["Predictor", "evaluate"]
