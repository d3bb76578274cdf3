"""The Distiller: trains a student on labelled documents, gold or silver alike."""

from clinidistill.distiller.distiller import Distiller
from clinidistill.distiller.history import History

__all__ = ["Distiller", "History"]
