"""The Distiller: trains a student on labelled documents, gold or silver alike."""

from clinidistill.distiller.history import History
from clinidistill.distiller.loop import Distiller

__all__ = ["Distiller", "History"]
