"""Running an experiment: every task's stages, then the tables.

The run folder holds::

    experiment.json     what was declared, no secrets     scores.json       everything that the tables say, and more
    environment.json    versions, seed, platform          tables/           as Markdown, CSV and LaTeX
    labels.sqlite       every annotation of each teacher  stages.json       what is done, and from what
    start/              the student that others begin from, if there is one
    TASK/silver.jsonl   what the task's student learnt    TASK/distilled-SEED/, TASK/human-SEED/    its students
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinidistill import __version__
from clinidistill.component import shown
from clinidistill.evaluation.multiplicity import holm
from clinidistill.recipe.stages import Stages, environment, write_json
from clinidistill.reproduction.schema import Experiment
from clinidistill.reproduction.tables import tables
from clinidistill.reproduction.task_run import TaskRun

__all__ = ["Reproduction", "reproduce"]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What an experiment came to; printed, its tables without the ranking of all combinations, which is long.

    Attributes:
        folder: the run folder.
        scores: what ``scores.json`` holds.
    """

    folder: Path
    scores: dict[str, Any]

    def __str__(self) -> str:
        return "\n".join(table.markdown() for table in tables(self.scores) if table.name != "combinations")


def reproduce(
    experiment: Experiment | str | Path, folder: str | Path | None = None, *, progress: bool | None = None
) -> Reproduction:
    """Run an experiment to its end; a stage that is done, and whose inputs have not changed, is not done again.

    For each task: the teachers label; every subset of them with every aggregator is ranked on human-labelled documents
    (:func:`clinidistill.search_teachers`); the student learns from what the best makes of the training documents, and
    the same student from people's labels of them; all are scored on the test documents and on other corpora, compared,
    timed and priced. The method is that of Vedula et al., arXiv 2501.00031. :func:`~clinidistill.reproduction.dry_run`
    says before what would go wrong, and what it would cost.

    Args:
        experiment: an experiment or its file.
        folder: the run folder; None takes ``runs/<name of the experiment>``.
        progress: progress bars on stderr; None shows them on a terminal only.

    Raises:
        ClinidistillError: whatever a stage cannot do; call it again to go on where it stopped.
    """
    plan = experiment if isinstance(experiment, Experiment) else Experiment.load(experiment)
    home = Path(folder or Path("runs") / plan.name)
    stages = Stages(home)
    # Every task's parts are made before anything runs, so that a wrong option costs no labelling.
    runs = [TaskRun(plan, task, stages, progress) for task in plan.tasks]
    stages.begin()
    write_json(home / "experiment.json", shown(plan.model_dump(mode="json")))
    write_json(home / "environment.json", environment(plan.seed))
    tasks = [run.go() for run in runs]
    compared = [each for task in tasks for each in task["comparisons"]]
    for each, p in zip(compared, holm([each["p"] for each in compared]), strict=True):
        each["p_holm"] = p
    scores = {
        "name": plan.name,
        "clinidistill": __version__,
        "seeds": plan.training_seeds,
        "resamples": plan.resamples,
        "tasks": tasks,
    }
    write_json(home / "scores.json", scores)
    (home / "tables").mkdir(exist_ok=True)
    for table in tables(scores):
        table.save(home / "tables")
    return Reproduction(home, scores)
