"""Steps that declared runs are made of: documents cut to some labels, an aggregator fitted, a student trained once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from clinidistill.aggregation import Aggregator
from clinidistill.component import digest
from clinidistill.datasets import Dataset, MemoryDataset
from clinidistill.distiller import Distiller
from clinidistill.errors import DataError
from clinidistill.labels import Labels
from clinidistill.recipe.declared import Component
from clinidistill.recipe.stages import Stages, write_json
from clinidistill.registry import check_options
from clinidistill.students import Student, load_student
from clinidistill.types import Document

__all__ = ["digest_of", "fit", "looked_at", "make_distiller", "make_student", "only", "together", "train"]


def only(document: Document, labels: frozenset[str]) -> Document:
    """The document with these labels alone."""
    covers = labels if document.covers is None else document.covers & labels
    return document.with_spans((span for span in document.spans if span.label in labels), covers)


def looked_at(document: Document) -> bool:
    """Whether some teacher looked for something there."""
    return document.covers is None or bool(document.covers)


def digest_of(documents: Iterable[Document]) -> str:
    """Hash of documents, text and spans."""
    return digest([digest(document.to_dict()) for document in documents])


def together(documents: Dataset, more: Iterable[Document]) -> Dataset:
    """The documents, and those of `more` that are not among them.

    Raises:
        DataError: if one id stands for two texts.
    """
    texts = {document.id: document.text for document in documents}
    others = [document for document in more if texts.get(document.id) != document.text]
    if twice := [document.id for document in others if document.id in texts]:
        raise DataError(
            f"training documents and those to choose by have ids in common ({len(twice)}, {twice[0]!r} for one) and "
            "are not the same; give each document an id of its own"
        )
    both = MemoryDataset([*documents, *others])
    both.is_deidentified = documents.is_deidentified and getattr(more, "is_deidentified", False)
    return both


def fit(aggregator: Aggregator, labels: Labels, dev: Dataset | None, ask: Callable[[Dataset], Labels]) -> Aggregator:
    """Fit an aggregator; the teachers label the dev notes, too (`ask`), if it learns from them."""
    if dev is None or not aggregator.learns_from_dev:
        return aggregator.fit(labels)
    return aggregator.fit(ask(together(labels.documents, dev)), dev)


def make_student(student: Component, labels: list[str] | None, **options: Any) -> Student:
    """A new student as declared; its own options go before those given here."""
    given = {} if labels is None else {"labels": labels}
    return load_student(student.use, **{**given, **options, **student.options})


def make_distiller(*options: dict[str, Any], seed: int, progress: bool | None) -> Distiller:
    """A Distiller as declared, later options before earlier ones.

    Raises:
        OptionError: if one is unknown or cannot be.
    """
    merged: dict[str, Any] = {"seed": seed, "show": progress}
    for each in options:
        merged |= each
    return Distiller(**check_options(Distiller, merged, "distiller"))


def train(
    stages: Stages,
    name: str,
    student: Student,
    documents: Dataset,
    *,
    dev: Dataset | None,
    distiller: Distiller,
    labels: list[str] | None,
    pool: Dataset | None = None,
    after: str | None = None,
) -> Path:
    """Train a student into the folder `name` of the run folder, or find it trained there.

    A training that was killed goes on from its checkpoint.

    Args:
        stages: of the run.
        name: of the folder; the stage is called ``train NAME``.
        student: a new student, or the one that the stage `after` has trained.
        documents: what it learns from.
        dev: what the best epoch is chosen by.
        distiller: how it is trained.
        labels: those of the run.
        pool: unlabelled notes.
        after: the stage that this one goes on from.
    """
    folder = stages.folder / name
    dev_digest = None if dev is None else digest_of(dev)
    inputs = [distiller.fingerprint, student.fingerprint, digest_of(documents), dev_digest, labels]
    if pool is not None:
        inputs.append(digest_of(pool))
    if after is not None:
        inputs.append(stages.inputs(after))
    checkpoints = stages.folder / "checkpoints" / f"{name}-{digest(inputs)[:8]}"
    options: dict[str, Any] = {} if pool is None else {"pool": pool}

    def work() -> None:
        history = distiller.fit(student, documents, dev, checkpoint=checkpoints, **options)
        write_json(folder.with_name(f"history-{folder.name}.json"), history.to_dict())
        student.save(folder)
        # Not where the training is found done: a later one, which was killed, goes on from what lies there.
        shutil.rmtree(stages.folder / "checkpoints", ignore_errors=True)

    stages.do(f"train {name}", inputs, folder, work)
    return folder
