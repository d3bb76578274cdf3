"""Blocks through workers, by Ray Data. Only plans and manifests travel: workers read and write the notes themselves."""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from clinidistill.errors import ClinidistillError, ConfigError, describe

__all__ = ["Told", "Work", "check_workers", "cluster", "on_workers", "ray_module"]

Told: TypeAlias = dict[str, Any]
Work: TypeAlias = Callable[[dict[str, Any]], Told]
"""What a worker does with one item, as JSON-ready objects."""

_ATTEMPTS = 3  # at one item, before it is taken for what its workers died of
_AHEAD = 2  # items at each worker, so that none is idle; of few items one, so that none waits at a busy worker


def check_workers(workers: int) -> None:
    """See to it that there is somebody to work, before anything is begun.

    Raises:
        ConfigError: if `workers` is not positive.
    """
    if workers < 1:
        raise ConfigError(f"workers={workers}: at least one process has to work")


@contextmanager
def cluster() -> Iterator[Any]:
    """Ray, connected: where it is already, or to what ``$RAY_ADDRESS`` names; else it is started on this machine.

    What is started here ends here, sends no usage figures, and has no dashboard.

    Raises:
        ConfigError: if ray is not installed.
    """
    ray = ray_module()
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(include_dashboard=False, logging_level="error")
    try:
        yield ray
    finally:
        ray.shutdown()


def ray_module() -> Any:
    """Ray, with Ray Data.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        import ray.data
    except ImportError:
        raise ConfigError("this needs Ray: pip install 'clinidistill[ray]'") from None
    return ray


def on_workers(
    items: Sequence[Mapping[str, Any]],
    make: Callable[..., Work],
    arguments: tuple[Any, ...],
    *,
    workers: int,
    num_cpus: float | None = None,
    num_gpus: float = 0,
) -> Iterator[Told]:
    """What workers tell of each item, as it comes. An item whose worker dies is done again by another.

    One whose workers died three times is told of as ``{"deadly": item}``, and is not tried again.

    Args:
        items: JSON-ready.
        make: makes, in a worker, what is done there with each item.
        arguments: of `make`.
        workers: how many processes, at least one.
        num_cpus: cores of each; None shares out those that the cluster has.
        num_gpus: GPUs of each.

    Raises:
        ClinidistillError: if a worker cannot go on.
    """
    ray = ray_module()
    if num_cpus is None:
        cores = float(ray.cluster_resources().get("CPU", 1))
        num_cpus = float(cores // workers) or cores / workers
    if not items:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its defaults set what it has deprecated
        ray.data.DataContext.get_current()
    attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Attempts).remote()
    dataset = ray.data.from_items(
        [{"item": json.dumps(item)} for item in items], override_num_blocks=len(items)
    ).map_batches(
        _Worker,
        fn_constructor_args=(make, arguments, num_cpus, attempts),
        batch_size=None,
        compute=ray.data.ActorPoolStrategy(
            size=min(workers, len(items)),
            max_tasks_in_flight_per_actor=_AHEAD if len(items) > 4 * workers else 1,
        ),
        num_cpus=num_cpus,
        num_gpus=num_gpus,
    )
    dataset.context.enable_progress_bars = False
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.ERROR)  # it tells its plans on stderr
    try:
        for row in dataset.iter_rows():
            told = json.loads(row["told"])
            if "fault" in told:
                raise ClinidistillError(f"a worker cannot go on: {told['fault']}")
            yield told
    except ray.exceptions.RayError as error:
        raise ClinidistillError(
            f"Ray gave up ({type(error).__name__}); what is written stays: run again for the rest"
        ) from error
    finally:
        ray.kill(attempts)
        log.setLevel(level)


class _Attempts:
    """An actor that counts how often each item was begun: a worker that an item kills cannot."""

    def __init__(self) -> None:
        self._begun: Counter[str] = Counter()

    def begin(self, item: str) -> int:
        self._begun[item] += 1
        return self._begun[item]


class _Worker:
    """An actor of Ray Data's pool."""

    def __init__(self, make: Callable[..., Work], arguments: tuple[Any, ...], cores: float, attempts: Any):
        os.environ["RAYON_NUM_THREADS"] = str(max(1, int(cores)))  # the tokenizer's; Ray sees to OMP_NUM_THREADS
        self._make, self._arguments, self._attempts = make, arguments, attempts
        self._work: Work | None = None

    def __call__(self, batch: Mapping[str, Iterable[str]]) -> Iterator[dict[str, list[str]]]:
        for item in batch["item"]:
            yield {"told": [json.dumps(self._told(str(item)))]}

    def _told(self, item: str) -> Told:
        if ray_module().get(self._attempts.begin.remote(item)) > _ATTEMPTS:
            return {"deadly": json.loads(item)}
        try:
            if self._work is None:  # here, so that what goes wrong is told in words
                self._work = self._make(*self._arguments)
            return self._work(json.loads(item))
        except Exception as error:
            return {"fault": describe(error)}
