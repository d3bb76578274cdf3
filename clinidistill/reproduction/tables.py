"""The paper's tables, made of what ``scores.json`` says and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import mean, pstdev
from typing import Any

from clinidistill.reproduction.table import Column, Table

__all__ = ["tables"]

_PRINTED = 10  # combinations of a task in LaTeX
_SCHEMES = ("strict", "lenient")


def tables(scores: Mapping[str, Any]) -> list[Table]:
    """F1 by task and system, combinations, costs, external sets, significance.

    Args:
        scores: as ``scores.json`` holds them.
    """
    return [_f1(scores), _combinations(scores), _costs(scores), _external(scores), _significance(scores)]


def _f1(scores: Mapping[str, Any]) -> Table:
    rows = [row for task in scores["tasks"] for row in _scored(task, ["test", task["search"]["on"]])]
    notes = [
        "Strict: exact offsets and label; lenient: overlap and label, one to one. Intervals: 95 %, bootstrap over "
        f"{scores['resamples']:,} resamples of the documents.",
        *_chosen(scores),
    ]
    for task in scores["tasks"]:
        on = task["search"]["on"]
        if not any(each["on"] == on for each in task["systems"]):
            continue
        note = (
            f"† {task['name']}: teachers without answers on the test notes are scored by people's labels of the notes "
            "of the search, on which the combination was chosen"
        )
        if task["search"]["trained_on"]:
            note += "; the student has learnt from silver labels of these notes"
        notes.append(note + ".")
    notes += _unanswered(scores, external=False)
    notes += [
        f"{task['name']}: {leak['documents']:,} documents of {leak['other']} stand in {leak['part']} as well, "
        f"{leak['word_for_word']:,} of them word for word."
        for task in scores["tasks"]
        for leak in task["leaks"]
    ]
    return Table("f1", f"{scores['name']}: F1 by task and system", _columns("scored on"), tuple(rows), tuple(notes))


def _external(scores: Mapping[str, Any]) -> Table:
    rows = [
        row
        for task in scores["tasks"]
        for row in _scored(task, [name for name in task["parts"] if name not in {"train", "dev", "test", "search"}])
    ]
    notes = [*_chosen(scores), *_unanswered(scores, external=True)]
    return Table("external", f"{scores['name']}: F1 on other corpora", _columns("corpus"), tuple(rows), tuple(notes))


def _unanswered(scores: Mapping[str, Any], *, external: bool) -> Iterator[str]:
    """Which teachers failed on some documents, or stopped before them for want of money."""
    for task in scores["tasks"]:
        for each in task["systems"]:
            answered, number = each.get("answered"), each["scores"]["documents"]
            elsewhere = each["on"] not in {"test", task["search"]["on"]}
            if elsewhere == external and answered is not None and answered < number:
                yield (
                    f"{task['name']}: {each['name']} has answers on {answered:,} of the {number:,} notes of "
                    f"{each['on']}; on the rest it is scored as if it had found nothing."
                )


def _columns(where: str) -> tuple[Column, ...]:
    figures = [Column(f"{scheme} F1", "f1") for scheme in _SCHEMES]
    spread = [Column(f"{scheme} 95 %", "interval") for scheme in _SCHEMES]
    return (
        Column("task"),
        Column("system"),
        Column(where),
        Column("notes", "count"),
        figures[0],
        spread[0],
        Column("sd", "f1"),
        figures[1],
        spread[1],
    )


def _scored(task: Mapping[str, Any], places: list[str]) -> Iterator[tuple[Any, ...]]:
    """A row for each system on each of some sets; of several seeds, mean and deviation, and the first's interval."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for each in task["systems"]:
        if each["on"] in places:
            groups.setdefault((each["on"], each["name"]), []).append(each)
    for place in places:
        for rows in (rows for (on, _), rows in groups.items() if on == place):
            micro = {scheme: [row["scores"][scheme]["micro"] for row in rows] for scheme in _SCHEMES}
            f1 = {scheme: [each["f1"] for each in micro[scheme]] for scheme in _SCHEMES}
            interval = {scheme: _pair(micro[scheme][0].get("f1_interval")) for scheme in _SCHEMES}
            yield (
                task["name"],
                _title(task, rows[0]),
                f"{place}†" if place == task["search"]["on"] else place,
                rows[0]["scores"]["documents"],
                mean(f1["strict"]),
                interval["strict"],
                pstdev(f1["strict"]) if len(rows) > 1 else None,
                mean(f1["lenient"]),
                interval["lenient"],
            )


def _title(task: Mapping[str, Any], system: Mapping[str, Any]) -> str:
    if system["kind"] == "aggregate":
        return f"aggregate ({task['winner']['aggregator']} of {len(task['winner']['teachers'])})"
    if system["kind"] == "teacher" and system["name"] == task["search"]["best_teacher"]:
        return f"{system['name']} (best teacher on {task['search']['on']})"
    return str(system["name"])


def _combinations(scores: Mapping[str, Any]) -> Table:
    columns = (
        Column("task"),
        Column("rank", "count"),
        Column("teachers"),
        Column("aggregator"),
        Column("strict F1", "f1"),
        Column("strict 95 %", "interval"),
        Column("lenient F1", "f1"),
        Column("token F1", "f1"),
    )
    rows = [
        (
            task["name"],
            row["rank"],
            ", ".join(row["teachers"]),
            row["aggregator"],
            row["scores"]["strict"]["micro"]["f1"],
            _pair(row["scores"]["strict"]["micro"].get("f1_interval")),
            row["scores"]["lenient"]["micro"]["f1"],
            row["scores"]["token"]["micro"]["f1"],
        )
        for task in scores["tasks"]
        for row in task["search"]["combinations"]
    ]
    notes = [f"In LaTeX, the first {_PRINTED} of each task. The first of many is partly luck: its score is too high."]
    for task in scores["tasks"]:
        search = task["search"]
        how = (
            "aggregators that learn from people do so in five parts"
            if search["supervised"]
            else "aggregators learn from no people"
        )
        number = task["parts"].get("search", task["parts"]["dev"])["documents"]
        notes.append(f"{task['name']}: ranked on {number:,} documents ({search['on']}); {how}.")
    title = f"{scores['name']}: teachers and aggregators, ranked by strict F1"
    return Table("combinations", title, columns, tuple(rows), tuple(notes), printed=_PRINTED)


def _costs(scores: Mapping[str, Any]) -> Table:
    columns = (
        Column("task"),
        Column("system"),
        Column("dollars for 1,000 notes", "figure"),
        Column("seconds for 1,000 notes", "figure"),
        Column("times the student's dollars", "times"),
        Column("dollars 95 %", "interval", "times"),
        Column("times the student's seconds", "times"),
        Column("seconds 95 %", "interval", "times"),
        Column("pays after notes", "count"),
        Column("strict F1", "f1"),
    )
    rows = []
    for task in scores["tasks"]:
        f1: dict[str, float] = {}
        for system in task["systems"]:
            if system["on"] in {"test", task["search"]["on"]}:
                f1.setdefault(system["name"], system["scores"]["strict"]["micro"]["f1"])
        for each in task["costs"]["systems"]:
            cheaper, faster = each["times_cheaper"] or {}, each["times_faster"] or {}
            rows.append(
                (
                    task["name"],
                    each["name"],
                    each["usd_per_1k_notes"],
                    each["seconds_per_1k_notes"],
                    cheaper.get("ratio"),
                    _pair(cheaper.get("interval")),
                    faster.get("ratio"),
                    _pair(faster.get("interval")),
                    each["break_even_notes"],
                    f1.get(each["name"]),
                )
            )
    machines = dict.fromkeys((task["costs"]["machine"], task["costs"]["hardware"]["says"]) for task in scores["tasks"])
    notes = [f"Measured on {machine}; its hour at the price of {price}." for machine, price in machines]
    notes.append(
        "The aggregate's figures are its teachers' together. Teachers' seconds are as they were run; what recorded "
        "answers took is unknown. A student pays when its labels, its training and its work cost no more than the "
        "teacher's work would have."
    )
    return Table("costs", f"{scores['name']}: dollars and seconds", columns, tuple(rows), tuple(notes))


def _significance(scores: Mapping[str, Any]) -> Table:
    columns = (
        Column("task"),
        Column("system"),
        Column("on"),
        Column("against"),
        Column("against on"),
        Column("F1", "f1"),
        Column("its F1", "f1"),
        Column("difference", "difference"),
        Column("95 %", "interval", "difference"),
        Column("p", "p"),
        Column("p (Holm)", "p"),
        Column("test"),
    )
    rows = [
        (
            task["name"],
            each["system"],
            each["on"],
            each["against"],
            each["against_on"],
            each["a"],
            each["b"],
            each["difference"],
            _pair(each["interval"]),
            each["p"],
            each["p_holm"],
            "paired" if each["paired"] else "unpaired",
        )
        for task in scores["tasks"]
        for each in task["comparisons"]
    ]
    notes = (
        "Strict micro F1. Paired: approximate randomisation for p, paired bootstrap for the interval; unpaired: "
        "bootstrap of two samples, on different documents. Holm: adjusted for all rows of the table.",
        *_chosen(scores, seeds_only=True),
    )
    return Table("significance", f"{scores['name']}: differences", columns, tuple(rows), notes)


def _chosen(scores: Mapping[str, Any], *, seeds_only: bool = False) -> list[str]:
    seeds = scores["seeds"]
    notes = []
    if not seeds_only:
        notes += [
            f"{task['name']}: the silver labels are those of {task['winner']['aggregator']} over "
            f"{', '.join(task['winner']['teachers'])}."
            for task in scores["tasks"]
        ]
    if len(seeds) > 1:
        notes.append(
            f"Students: {len(seeds)} seeds; F1 is the mean, sd the standard deviation; intervals and differences "
            f"are of the first ({seeds[0]})."
        )
    return notes


def _pair(interval: Any) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))
