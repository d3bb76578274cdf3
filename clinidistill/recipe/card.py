"""The model card of a run's student: what it learnt from, how well it does, what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clinidistill.recipe.results import System, markdown
from clinidistill.recipe.schema import Recipe
from clinidistill.students.card import model_card

__all__ = ["run_card"]


def run_card(
    recipe: Recipe,
    systems: Iterable[System],
    documents: int,
    teachers: Sequence[str],
    economics: Mapping[str, Any],
) -> str:
    """The card.

    Args:
        recipe: the run's recipe.
        systems: scored systems of the run.
        documents: how many silver-labelled documents it learnt from.
        teachers: names of the teachers.
        economics: the JSON-ready form of the run's costs.
    """
    rows = list(systems)
    student = next(row for row in rows if row.kind == "distilled")
    made_by = ", ".join(f"`{name}`" for name in teachers)
    learnt = (
        f"It learnt from {documents:,} documents with silver labels, made by {made_by} and combined by "
        f"`{recipe.aggregator.use}`. No label of people was used but those of the dev set."
    )
    scores = "F1 on the test documents, strict (exact offsets and label) / lenient (overlap and label).\n\n"
    return model_card(
        recipe.name,
        recipe.labels or sorted(student.scores.strict.per_label),
        base=str(recipe.student.options.get("base", "")),
        library="transformers" if recipe.student.use == "token-classifier" else None,
        learnt=learnt,
        scores=student.scores,
        tested_on=f"{recipe.name}, test documents",
        sections=[("Scores", scores + markdown(rows)), ("Cost", _cost(economics))],
    )


def _cost(economics: Mapping[str, Any]) -> str:
    own = economics["systems"][-1]
    price = own["usd_per_1k_notes"]
    dollars = "unknown dollars" if price is None else f"{price:.3g} dollars"
    return (
        f"{1000 * own['seconds_per_note']:.3g} ms a note, {dollars} for 1,000 notes ({economics['hardware']['says']}; "
        f"measured on {economics['machine']}). {economics['recommendation']}"
    )
