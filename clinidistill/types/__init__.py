"""The nouns that everything else is about."""

from clinidistill.types.annotation import Annotation
from clinidistill.types.document import Document
from clinidistill.types.estimate import Estimate
from clinidistill.types.scores import SCHEMES, Metrics, SchemeScores, Scores
from clinidistill.types.span import Span, flatten
from clinidistill.types.task import CLINICAL, DISEASE, MEDICATION, SYMPTOM, EntityType, Task

__all__ = [
    "CLINICAL",
    "DISEASE",
    "MEDICATION",
    "SCHEMES",
    "SYMPTOM",
    "Annotation",
    "Document",
    "EntityType",
    "Estimate",
    "Metrics",
    "SchemeScores",
    "Scores",
    "Span",
    "Task",
    "flatten",
]
