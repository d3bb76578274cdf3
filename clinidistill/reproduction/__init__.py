"""The paper's whole experiment from one file: teachers, their combinations, students of silver and of human labels."""

from clinidistill.reproduction.dry_run import DryRun, dry_run
from clinidistill.reproduction.runner import Reproduction, reproduce
from clinidistill.reproduction.schema import Experiment

__all__ = ["DryRun", "Experiment", "Reproduction", "dry_run", "reproduce"]
