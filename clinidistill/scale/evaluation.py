"""Scores of outputs too large for one machine: counts are made block by block, and add up."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from clinidistill.errors import ClinidistillError, ConfigError
from clinidistill.evaluation.counting import Counts, count
from clinidistill.evaluation.scoring import check_resampling, scores_of
from clinidistill.progress import track
from clinidistill.scale.blocks import Block, cut
from clinidistill.scale.engine import Told, check_workers, cluster, on_workers
from clinidistill.scale.output import RUN_FILE, Output
from clinidistill.scale.rows import Reader
from clinidistill.scale.storage import Place
from clinidistill.types import SCHEMES, Document, Scores

__all__ = ["evaluate_dataset"]

_logger = logging.getLogger(__name__)


def evaluate_dataset(
    gold_url: str | Path,
    predicted_url: str | Path,
    *,
    workers: int = 2,
    labels: Iterable[str] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    confidence: float = 0.95,
    storage_options: Mapping[str, Any] | None = None,
    num_cpus: float | None = None,
    progress: bool | None = None,
) -> Scores:
    """Scores of an output of :func:`predict_dataset` or :func:`label_dataset`, to the digit those of ``cd.evaluate``.

    Args:
        gold_url: what it was made from, if that has the right spans; or another output made from the same input, such
            as a teacher's.
        predicted_url: the output. A document in its side table counts as one in which nothing was found.
        workers: how many processes.
        labels: score only these; None scores all.
        bootstrap: how many times to resample the documents for confidence intervals of F1; 0 gives none. The counts of
            all documents are then held here, about half a kilobyte each.
        seed: of the resampling.
        confidence: of the intervals, between 0 and 1.
        storage_options: as :func:`predict_dataset`.
        num_cpus: likewise.
        progress: likewise.

    Raises:
        ConfigError: if the two are not of one input, cut alike and complete, or an option cannot work.
        DataError: if one of them cannot be read.
        ClinidistillError: as :func:`predict_dataset`.
    """
    if isinstance(labels, str):
        raise ConfigError(f"labels must be several names, not one string; write labels=[{labels!r}]")
    check_resampling(bootstrap, confidence)
    check_workers(workers)
    options = dict(storage_options or {})
    output, run = Output.of_run(Place.of(predicted_url, options))
    predicted, gold = _blocks(output), _gold(Place.of(gold_url, options), run)
    if predicted.keys() != gold.keys():
        raise ConfigError(
            f"{gold_url} and {predicted_url} differ in {len(predicted.keys() ^ gold.keys())} blocks: one is not "
            "complete; call what wrote it again"
        )
    items = [{"gold": asdict(gold[name]), "predicted": asdict(predicted[name])} for name in sorted(gold)]
    wanted = None if labels is None else sorted(set(labels))
    told = []
    if items:
        with cluster(), track("evaluating", len(items), progress) as bar:
            for each in on_workers(
                items, _Counter, (options, wanted, bool(bootstrap)), workers=workers, num_cpus=num_cpus
            ):
                if "deadly" in each:
                    raise ClinidistillError(f"block {each['deadly']['gold']['id']} killed its workers again and again")
                told.append(each)
                bar.advance()
    if unanswered := sum(each["unanswered"] for each in told):
        _logger.warning("%d documents have no prediction, and count as if nothing was found in them", unanswered)
    return scores_of(_merged(told), bootstrap=bootstrap, seed=seed, confidence=confidence)


def _blocks(output: Output) -> dict[str, Block]:
    """The parts of an output as blocks, by the name of what they were made from."""
    return {
        name: Block(
            number,
            name,
            (output.place / each["part"]).url,
            0,
            each["rows"] if output.format == "parquet" else each["bytes"],
        )
        for number, (name, each) in enumerate(output.manifests().items())
    }


def _gold(place: Place, run: Mapping[str, Any]) -> dict[str, Block]:
    """The blocks of what a run was made from, or of what another run made from the same."""
    if not place.is_file and RUN_FILE in place.names():
        output, other = Output.of_run(place)
        blocks, fingerprint = _blocks(output), other["input"]
    else:
        plan = cut(place, int(run["block_notes"]))
        blocks, fingerprint = {block.name: block for block in plan.blocks}, plan.fingerprint
    if fingerprint != run["input"]:
        raise ConfigError(
            f"{place.url} is not what the predictions were made from ({run['input_url']}), nor made from it"
        )
    return blocks


class _Counter:
    """Counts the blocks of two sides.

    Args:
        options: of the stores.
        labels: count these alone; None counts all.
        each: whether to tell each document's counts, and not their sums alone.
    """

    def __init__(self, options: Mapping[str, Any], labels: Collection[str] | None, each: bool):
        self._gold, self._predicted = Reader(options), Reader(options)
        self._labels, self._each = labels, each

    def __call__(self, item: dict[str, Any]) -> Told:
        wanted, found = (
            {row.id: row for row in reader.read(Block(**item[side])) if isinstance(row, Document)}
            for side, reader in (("gold", self._gold), ("predicted", self._predicted))
        )
        unanswered = wanted.keys() - found.keys()
        ids = sorted(wanted)
        gold, predicted = [wanted[id] for id in ids], [found.get(id, wanted[id].without_spans()) for id in ids]
        if any(one.text != other.text for one, other in zip(gold, predicted, strict=True)):
            raise ConfigError("gold and predicted texts differ; offsets compare only within the same text")
        counts = count(gold, predicted, self._labels)
        told: Told = {"labels": counts.labels, "documents": counts.documents, "unanswered": len(unanswered)}
        if self._each:
            rows = {"ids": ids, "document": counts.document, "label": counts.label, "outcomes": counts.outcomes}
        else:
            total = counts.total()
            rows = {"ids": [], "document": np.zeros(len(total)), "label": np.arange(len(total)), "outcomes": total}
        return told | {name: np.asarray(values).tolist() for name, values in rows.items()}


def _merged(told: Iterable[Told]) -> Counts:
    """The counts of all blocks, documents in the order of their ids, as if they had been counted together."""
    blocks = list(told)
    names = tuple(sorted({name for each in blocks for name in each["labels"]}))
    ids = [id for each in blocks for id in each["ids"]]
    place = np.empty(len(ids), dtype=np.int64)
    place[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    document, label, outcomes, first = [], [], [np.zeros((0, len(SCHEMES), 3))], 0
    for each in blocks:
        numbers = np.array([*(names.index(name) for name in each["labels"]), len(names)])
        label.append(numbers[np.array(each["label"], dtype=np.int64)])
        own = np.array(each["document"], dtype=np.int64)
        document.append(place[first + own] if each["ids"] else own)
        outcomes.append(np.array(each["outcomes"]).reshape(-1, len(SCHEMES), 3))
        first += len(each["ids"])
    none = np.zeros(0, dtype=np.int64)
    return Counts(
        np.concatenate([none, *document]),
        np.concatenate([none, *label]),
        np.concatenate(outcomes),
        sum(each["documents"] for each in blocks),
        names,
    )
