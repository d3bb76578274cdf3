"""Large inputs, labelled by a teacher or marked by a student, on a machine or a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from clinidistill.database import is_server
from clinidistill.errors import ClinidistillError, ConfigError, OptionError
from clinidistill.progress import track
from clinidistill.scale.blocks import Block, Plan, cut
from clinidistill.scale.budget import BUDGET_FILE, Budget
from clinidistill.scale.engine import Told, check_workers, cluster, on_workers
from clinidistill.scale.output import Output
from clinidistill.scale.shipping import packed, student_folder, taken_apart
from clinidistill.scale.storage import Place
from clinidistill.scale.summary import Summary
from clinidistill.scale.workers import StudentMarker, TeacherMarker, Teaching
from clinidistill.students import Student
from clinidistill.teachers import Teacher, load_teacher

__all__ = ["label_dataset", "predict_dataset"]


def predict_dataset(
    model: Student | str | Path,
    input_url: str | Path,
    output_url: str | Path,
    *,
    workers: int = 2,
    block_notes: int = 2000,
    format: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    overwrite: bool = False,
    progress: bool | None = None,
    **options: Any,
) -> Summary:
    """Have a student mark all notes of an input, by Ray Data, on this machine or on the cluster of ``$RAY_ADDRESS``.

    The input is cut into blocks; each is read, marked and written whole by one worker, which loads the student once.
    Killed workers' blocks are done again, and a call that was interrupted goes on where it stopped. Notes that cannot
    be read or marked are in the side table ``_bad``, with the reason. See ``docs/scale.md``.

    Args:
        model: a student, its folder, or that folder's URL; workers get it from here.
        input_url: a file, folder or glob of JSON lines (``.jsonl``, ``.ndjson``, also ``.gz``) or Parquet, by path or
            fsspec URL; rows as :class:`~clinidistill.datasets.jsonl.JsonLines` has them.
        output_url: a new or empty folder, or that of the same run.
        workers: how many processes.
        block_notes: about how many notes a block has: what is lost when a worker dies.
        format: of the output, ``"jsonl"`` or ``"parquet"``; None takes the input's.
        storage_options: fsspec's, for input, output and model: ``{"endpoint_url": ...}``, keys.
        num_cpus: cores of each worker; None shares out those of the cluster.
        num_gpus: GPUs of each worker; None takes one each where the cluster has as many.
        overwrite: delete the output of another run.
        progress: show progress on stderr; None shows it when that is a terminal.
        options: of the student's ``predict``, such as ``batch_tokens`` and ``precision``.

    Returns:
        What is written, and how long it took.

    Raises:
        ConfigError: if Ray is not installed, an option cannot work, or the output is another run's.
        DataError: if the input or the model cannot be read, or the output cannot be written.
        ClinidistillError: if a worker cannot go on, or every note fails; what is written stays.
    """
    settings = dict(storage_options or {})
    run = _Run("predict", (input_url, output_url), block_notes, format, settings)
    with student_folder(model, settings) as folder:
        fingerprint, files = packed(folder)

    def make(ray: Any) -> tuple[Any, ...]:
        return StudentMarker, [ray.put(files)], options

    return run.do(fingerprint, make, workers, num_cpus, num_gpus, overwrite=overwrite, progress=progress)


def label_dataset(
    teacher: Teacher | Mapping[str, Any],
    input_url: str | Path,
    output_url: str | Path,
    *,
    workers: int = 2,
    block_notes: int = 2000,
    format: str | None = None,
    storage_options: Mapping[str, Any] | None = None,
    num_cpus: float | None = None,
    num_gpus: float = 0,
    store: str | Path | None = None,
    budget_tokens: int | None = None,
    allow_remote: bool = False,
    overwrite: bool = False,
    progress: bool | None = None,
) -> Summary:
    """Have a teacher mark all notes of an input, as :func:`predict_dataset` has a student.

    The output has the teacher's spans in place of the input's, and covers the labels that it knows. A terminology is
    compiled once, here, and goes to each node once.

    Args:
        teacher: a teacher, or a mapping of its name (``use``) and options, as recipes have it.
        input_url: as :func:`predict_dataset`.
        output_url: likewise.
        workers: likewise.
        block_notes: likewise; a few hundred suit language models, as the block is what has to be asked for together.
        format: likewise.
        storage_options: likewise.
        num_cpus: likewise.
        num_gpus: GPUs of each worker.
        store: a label store for language models' raw answers, so that none is paid for twice, whoever dies: a
            PostgreSQL URL; on a single machine also a file. None takes a file in the output where that is local.
        budget_tokens: the most tokens, sent and written, that language models may ever use for this output. Like a
            teacher's ``budget_usd`` it is a hard cap on all workers together.
        allow_remote: let notes leave the cluster, for teachers that say they send them.
        overwrite: as :func:`predict_dataset`.
        progress: likewise.

    Returns:
        What is written; ``stopped`` tells if a budget ended it, which a later call with a higher one goes on with.

    Raises:
        ConfigError: as :func:`predict_dataset`, or if the teacher is remote without `allow_remote`, or keeps answers
            and there is no `store` that all workers could reach.
        DataError: as :func:`predict_dataset`.
        ClinidistillError: likewise.
    """
    if not isinstance(teacher, Teacher):
        rest = dict(teacher) if isinstance(teacher, Mapping) else {}
        name = rest.pop("use", None)
        if not isinstance(name, str):
            raise OptionError("a teacher is a Teacher, or a mapping with its registered name under 'use'")
        teacher = load_teacher(name, **rest)
    teacher.check_remote(allow_remote)
    settings = dict(storage_options or {})
    run = _Run("label", (input_url, output_url), block_notes, format, settings)
    parts = taken_apart(teacher)

    def make(ray: Any) -> tuple[Any, ...]:
        answers = _store(ray, teacher, store, run.output)
        luggage = teacher.luggage()
        references = [] if luggage is None else [ray.put(np.frombuffer(luggage, dtype=np.uint8))]
        budget = None
        if teacher.keeps_answers:
            limits = teacher.options.get("budget_usd"), budget_tokens
            budget = ray.remote(num_cpus=0)(Budget).remote(limits, run.output.place / BUDGET_FILE)
        return TeacherMarker, Teaching(parts, references, answers, allow_remote, budget)

    return run.do(teacher.fingerprint, make, workers, num_cpus, num_gpus, overwrite=overwrite, progress=progress)


class _Run:
    """One call: what is to be done, and what is left of it.

    Raises:
        ConfigError, DataError: as :func:`predict_dataset`.
    """

    def __init__(
        self,
        kind: str,
        places: tuple[str | Path, str | Path],
        block_notes: int,
        format: str | None,
        settings: Mapping[str, Any],
    ):
        if format not in (None, "jsonl", "parquet"):
            raise ConfigError(f"format={format!r}: an output is 'jsonl' or 'parquet'")
        self.kind, self.block_notes, self.started = kind, block_notes, time.monotonic()
        self.input, place = (Place.of(url, settings) for url in places)
        if any(self.input.takes_in(place / f"part-000000-0.{each}") for each in ("jsonl", "parquet")):
            raise ConfigError(f"{place.url} lies in the input, and would be read as such; name a folder elsewhere")
        self.plan: Plan = cut(self.input, block_notes)
        self.output = Output(place, format or self.plan.format)

    def do(
        self,
        model: str,
        make: Callable[[Any], tuple[Any, ...]],
        workers: int,
        num_cpus: float | None,
        num_gpus: float | None,
        *,
        overwrite: bool,
        progress: bool | None,
    ) -> Summary:
        """Whatever is not written yet.

        Args:
            model: fingerprint of what marks.
            make: puts what it needs into Ray's store; returns the marker's class and its further arguments.
            workers: as :func:`predict_dataset`; so are the others.

        Raises:
            ConfigError, DataError, ClinidistillError: as :func:`predict_dataset`.
        """
        check_workers(workers)
        record = {
            "layout": 1,
            "kind": self.kind,
            "model": model,
            "input": self.plan.fingerprint,
            "block_notes": self.block_notes,
            "format": self.output.format,
        }
        self.output.begin(record, self.input.url, overwrite=overwrite)
        done = self.output.manifests()
        before = sum(each["rows"] for each in done.values())
        left = [block for block in self.plan.blocks if block.name not in done]
        self.output.forget(left)
        stopped: str | None = None
        left_out: str | None = None
        with track(f"{self.kind}ing", len(self.plan.blocks), progress) as bar:
            bar.skip(len(done))
            for told in self._told(left, model, make, (workers, num_cpus, num_gpus)) if left else ():
                if "stopped" in told:
                    stopped = told["stopped"]
                    continue
                if "left_out" in told:
                    left_out = told["left_out"]
                    continue
                if "deadly" in told:
                    stopped = (
                        f"block {told['deadly']['number']} killed its workers again and again: if memory ran out, "
                        "lower batch_tokens or take fewer workers, and run again for the rest"
                    )
                    continue
                done[told["block"]] = told
                bar.advance()
                bar.note(notes=sum(each["rows"] for each in done.values()))
        if left_out is not None:
            if not (done or stopped):
                raise ClinidistillError(left_out)
            stopped = stopped or f"{left_out}; run again for what is missing"
        return Summary(
            output=self.output.place.url,
            notes=sum(each["rows"] for each in done.values()),
            bad=sum(each["bad"] for each in done.values()),
            blocks=len(done),
            missing=len(self.plan.blocks) - len(done),
            notes_before=before,
            seconds=time.monotonic() - self.started,
            cost_usd=sum(each.get("cost_usd", 0.0) for each in done.values()),
            stopped=stopped,
        )

    def _told(
        self,
        left: list[Block],
        model: str,
        make: Callable[[Any], tuple[Any, ...]],
        shares: tuple[int, float | None, float | None],
    ) -> Iterator[Told]:
        workers, num_cpus, num_gpus = shares
        with cluster() as ray:
            if num_gpus is None:
                num_gpus = 1 if ray.cluster_resources().get("GPU", 0) >= workers else 0
            marker, *arguments = make(ray)
            yield from on_workers(
                [asdict(block) for block in left],
                marker,
                (self.output, model, *arguments),
                workers=workers,
                num_cpus=num_cpus,
                num_gpus=num_gpus,
            )


def _store(ray: Any, teacher: Teacher, store: str | Path | None, output: Output) -> str:
    """Where the workers' teacher keeps raw answers."""
    if not teacher.keeps_answers:
        return ":memory:"
    if is_server(store):
        return str(store)
    nowhere = store is None and not output.place.is_local
    if nowhere or str(store) == ":memory:" or sum(node["Alive"] for node in ray.nodes()) > 1:
        raise ConfigError(
            f"teacher {teacher.name!r} keeps raw answers, so that none is paid for twice: name a store= that all "
            "workers reach, a PostgreSQL URL"
        )
    return f"{output.place.path}/_answers.sqlite" if store is None else str(Path(store).absolute())
