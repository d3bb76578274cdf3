"""Beyond one machine: labelling, prediction and evaluation over Ray Data, and prediction in Spark.

What it is for, and what it costs: ``docs/scale.md``. Needs the extra ``ray`` (or ``spark``).
"""

from clinidistill.scale.evaluation import evaluate_dataset
from clinidistill.scale.jobs import label_dataset, predict_dataset
from clinidistill.scale.summary import Summary

__all__ = ["Summary", "evaluate_dataset", "label_dataset", "predict_dataset"]
