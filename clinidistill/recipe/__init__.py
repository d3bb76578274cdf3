"""Recipes: one declarative run, from notes to a scored student, in one TOML file."""

from clinidistill.recipe.runner import RunResult, run
from clinidistill.recipe.schema import Recipe

__all__ = ["Recipe", "RunResult", "run"]
