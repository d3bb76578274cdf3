"""Evaluation: how well one set of spans agrees with another."""

from clinidistill.evaluation.breakdown import Breakdown
from clinidistill.evaluation.comparison import Comparison, compare
from clinidistill.evaluation.error_analysis import DocumentErrors, ErrorAnalysis, analyse_errors
from clinidistill.evaluation.finding import Finding
from clinidistill.evaluation.learning_curve import LearningCurve, LearningPoint, learning_curve
from clinidistill.evaluation.scoring import Predictor, evaluate
from clinidistill.evaluation.sections import Section, find_sections
from clinidistill.evaluation.unpaired import compare_unpaired

__all__ = [
    "Breakdown",
    "Comparison",
    "DocumentErrors",
    "ErrorAnalysis",
    "Finding",
    "LearningCurve",
    "LearningPoint",
    "Predictor",
    "Section",
    "analyse_errors",
    "compare",
    "compare_unpaired",
    "evaluate",
    "find_sections",
    "learning_curve",
]
