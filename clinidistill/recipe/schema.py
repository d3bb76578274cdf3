"""What a recipe may say, checked before anything runs."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from clinidistill.datasets import Dataset, load_dataset
from clinidistill.recipe.declared import Component, Declared, Strict

__all__ = ["Component", "Data", "Recipe", "Select", "Split"]


class Split(Strict):
    """How many documents (ints) or which shares (floats) of one dataset go into each part."""

    train: int | float
    dev: int | float = 0
    test: int | float
    seed: int | None = Field(None, description="Shuffles by this seed; None cuts in the order of document ids.")


class Data(Strict):
    """The documents: one source that is split, or a source for each part."""

    source: Component | None = Field(None, description="One dataset, cut by `split`.")
    split: Split | None = None
    train: Component | None = None
    dev: Component | None = None
    test: Component | None = None
    pool: Component | None = Field(None, description="Unlabelled notes for self-training (`rounds`).")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.source is not None:
            if self.split is None or self.train or self.dev or self.test:
                raise ValueError("`source` goes with `split`, and without train, dev and test of their own")
        elif self.train is None or self.test is None or self.split is not None:
            raise ValueError("give `source` and `split`, or `train`, `test` and perhaps `dev`")
        return self

    def load(self) -> dict[str, Dataset | None]:
        """The parts by name: ``train``, ``dev`` and ``pool`` (None where there is none), and ``test``."""
        pool = None if self.pool is None else load_dataset(self.pool.use, **self.pool.options)
        if self.source is not None and self.split is not None:
            whole = load_dataset(self.source.use, **self.source.options)
            sizes = [self.split.train, self.split.dev, self.split.test]
            if any(isinstance(size, float) for size in sizes):
                sizes = [float(size) for size in sizes]
            train, dev, test = whole.sorted().split(*sizes, seed=self.split.seed)
            return {"train": train, "dev": dev if self.split.dev else None, "test": test, "pool": pool}
        parts = {"train": self.train, "dev": self.dev, "test": self.test}
        loaded = {n: None if part is None else load_dataset(part.use, **part.options) for n, part in parts.items()}
        return {**loaded, "pool": pool}


class Select(Strict):
    """Paid teachers label only the notes that teach most, round by round: select, label, train, and again."""

    teachers: list[str] | None = Field(
        None, min_length=1, description="Names of the paid; None: those that send notes."
    )
    budget_usd: float | None = Field(None, gt=0, description="Most dollars for labels of the training notes.")
    notes: int | None = Field(None, gt=0, description="Most notes that they label.")
    rounds: int = Field(4, ge=1, description="Each doubles what was spent.")
    min_gain: float = Field(0.0, description="Stop when dev F1 rose by less than this; negative: never.")
    usd_per_1k_characters: float | None = Field(None, ge=0, description="The price, where the teachers cannot tell it.")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.budget_usd is None and self.notes is None:
            raise ValueError("say what may be spent: `budget_usd`, or `notes`")
        return self


class Recipe(Declared):
    """One run: which notes, which teachers, how their opinions combine, which student, how it is trained.

    Read it with :meth:`load`. Paths are relative to the recipe's file; ``${CLINIDISTILL_DATA}`` and other environment
    variables are filled in.
    """

    what: ClassVar[str] = "recipe"

    name: str = Field(pattern=r"^[\w.-]+$", description="Names the run folder and the student.")
    seed: int = 0
    labels: list[str] | None = Field(None, min_length=1, description="Labels to learn and score; None: those found.")
    data: Data
    teachers: list[Component] = Field(min_length=1)
    allow_remote: bool = Field(False, description="Let notes leave this machine, for teachers that send them.")
    store: str | None = Field(
        None, description="Label store: a file, or a URL of PostgreSQL; None: labels.sqlite in the run folder."
    )
    select: Select | None = Field(None, description="Have paid teachers label only the notes that teach most.")
    aggregator: Component = Component(use="majority")
    student: Component
    distiller: dict[str, Any] = Field(default_factory=dict, description="Options of the Distiller.")
    human_baseline: bool = Field(True, description="Train the same student on the human labels of `train` as well.")
    baseline_distiller: dict[str, Any] = Field(
        default_factory=dict, description="Options in which the baseline's Distiller differs."
    )
    gold_last: dict[str, Any] | None = Field(
        None, description="Train the distilled student on `dev` as well, with these options of the Distiller."
    )

    @model_validator(mode="after")
    def _gold(self) -> Self:
        no_dev = self.data.dev is None and not (self.data.split and self.data.split.dev)
        if self.gold_last is not None and no_dev:
            raise ValueError("`gold_last` learns from the dev documents, and there are none")
        return self
