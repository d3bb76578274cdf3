"""The page: sections of tables and plots, put together into one file that needs nothing else.

Everything that comes from a run is escaped. The only script is ours, which the page's own policy admits by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from clinidistill import __version__
from clinidistill.datasets.atomic import private_file
from clinidistill.plots import plot_agreement, plot_break_even, plot_costs, plot_history, plot_scores
from clinidistill.progress import track
from clinidistill.recipe.results import System, table
from clinidistill.report.browser import browser_data, embedded
from clinidistill.report.run_folder import RunFolder
from clinidistill.report.svg import svg

__all__ = ["write_report"]

_MOST_NOTES = 2000  # in the browser
Cells = Sequence[object]


def write_report(
    run: str | Path, path: str | Path | None = None, *, text: bool = True, progress: bool | None = None
) -> Path:
    """Write the report of a run: one HTML file that opens from disk, without a network.

    Args:
        run: the run folder.
        path: the file; None takes ``report.html`` in the run folder. It is created for its owner alone (mode 0600).
        text: whether it may hold text of notes; False leaves the browser of errors out, so that it can be shared.
        progress: a bar on stderr; None: if it is a terminal.

    Returns:
        The file.

    Raises:
        ConfigError: if it is no run folder, the run has not come to its end, or matplotlib is absent.
        DataError: if a file is damaged, or the report cannot be written.
    """
    folder = RunFolder.read(run)
    target = Path(path) if path is not None else folder.path / "report.html"
    sections = list(_sections(folder, text))
    with track("report", len(sections), show=progress) as bar, private_file(target) as file:
        script = _resource("report.js")
        allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        name = escape(str(folder.recipe.get("name", "run")))
        file.write(
            _HEAD.format(name=name, style=_resource("report.css"), hash=allowed, version=__version__, folder=name)
        )
        items = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in sections)
        file.write(f'<nav aria-label="Contents"><ul>{items}</ul></nav>\n<main id="content">\n')
        if text:
            file.write('<p class="warning">This file holds text of notes. Keep it as carefully as the notes.</p>\n')
        for key, title, body in sections:
            file.write(f'<section id="{key}" aria-labelledby="{key}-title">\n<h2 id="{key}-title">{title}</h2>\n')
            file.write(body)
            file.write("</section>\n")
            bar.advance()
        file.write(f"</main>\n<script>{script}</script>\n</body>\n</html>\n")
    return target


def _sections(run: RunFolder, text: bool) -> Iterator[tuple[str, str, str]]:
    """Key, title and body of each."""
    evidence = run.evidence
    yield "summary", "Summary", _summary(run)
    yield "scores", "Scores", _scores(run.systems)
    if evidence.get("agreement"):
        yield "agreement", "How teachers agree", _agreement(evidence["agreement"])
    if evidence.get("ranking"):
        yield "ranking", "Which teachers together are best", _ranking(evidence["ranking"])
    if evidence.get("selection"):
        yield "selection", "Notes that were paid for", _selection(evidence["selection"])
    if run.histories:
        yield "training", "Training", _training(run)
    if evidence.get("economics"):
        yield "cost", "Cost and speed", _cost(evidence["economics"])
    yield "errors", "Errors", _errors(run) if text else _counts(run.systems)
    if evidence.get("ledger"):
        yield "ledger", "Ledger", _ledger(evidence["ledger"])
    yield "data", "Data", _data(evidence.get("data", {}))
    if card := run.card():
        yield "card", "Model card", f"<pre>{_text(card)}</pre>\n"
    yield "recipe", "Recipe", _recipe(run)


def _summary(run: RunFolder) -> str:
    by_kind = {system.kind: system for system in run.systems}
    says = []
    student, human, aggregate = (by_kind.get(kind) for kind in ("distilled", "human-trained", "aggregate"))
    if student is not None:
        says.append(f"The distilled student has strict micro F1 {_f1(student)}")
        if aggregate is not None:
            says[-1] += f", the aggregate that it learnt from {_f1(aggregate)}"
        if human is not None and human.scores.strict.micro.f1:
            share = student.scores.strict.micro.f1 / human.scores.strict.micro.f1
            says[-1] += f", the same model trained on people's labels {_f1(human)}: it reaches {share:.0%} of that"
        says[-1] += "."
    if money := run.evidence.get("economics"):
        says.append(str(money["recommendation"]))
    minutes = sum(stage.get("seconds", 0) for stage in run.stages.values()) / 60
    facts = [
        ("recipe", run.recipe.get("name")),
        ("base", run.recipe.get("student", {}).get("base", "–")),
        ("labels", ", ".join(sorted({label for s in run.systems for label in s.scores.strict.per_label}))),
        ("teachers", sum(system.kind == "teacher" for system in run.systems)),
        ("seed", run.environment.get("seed")),
        ("time of all stages but labelling", f"{minutes:.1f} minutes"),
        ("machine", (run.evidence.get("economics") or {}).get("machine", run.environment.get("platform"))),
        ("clinidistill", run.environment.get("clinidistill")),
    ]
    rows = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in facts)
    return "".join(f"<p>{_text(each)}</p>\n" for each in says) + f"<dl>{rows}</dl>\n"


def _scores(systems: Sequence[System]) -> str:
    head, rows = table(systems)
    micro = [f"{system.name} {system.scores.strict.micro.f1:.3f}" for system in systems]
    says = "Strict micro F1: " + ", ".join(micro)
    return (
        svg(plot_scores({system.name: system.scores for system in systems}), says)
        + "<p>F1 on the test documents, strict (exact offsets and label) / lenient (overlap and label). The table "
        "leaves out the micro average of a system that does not know all labels.</p>\n" + _table(head, rows)
    )


def _agreement(found: Mapping[str, Any]) -> str:
    alpha = found["alpha"]
    rows = [[label, _number(value)] for label, value in alpha["per_label"].items()]
    rows.append(["all", _number(alpha["overall"])])
    coverage = [
        [each["teacher"], each["label"], each["mentions"], f"{each['per_document']:.1f}", f"{each['alone_share']:.0%}"]
        for each in found["coverage"]
        if each["documents"]
    ]
    says = "F1 between teachers, strict above the diagonal, lenient below: " + "; ".join(
        f"{' and '.join(pair['teachers'])} {_number(pair['strict'])}, {_number(pair['lenient'])}"
        for pair in found["pairs"]
    )
    return (
        svg(plot_agreement(found), says)
        + "<p>F1 between teachers: strict above the diagonal, lenient below; blank where they share no label.</p>\n"
        + _table(["label", "Krippendorff's alpha"], rows)
        + _table(["teacher", "label", "mentions", "a document", "found by no other"], coverage)
    )


def _ranking(found: Mapping[str, Any]) -> str:
    rows = []
    for row in found["rows"]:
        cells = [_with_interval(row["scores"][scheme]["micro"]) for scheme in ("strict", "lenient")]
        rows.append([", ".join(row["teachers"]), row["aggregator"], *cells])
    return (
        f"<p>The best {len(rows)} of {found['combinations']} combinations by {_text(found['scheme'])} micro F1 on the "
        "dev documents, with 95% intervals. The best of many is partly luck.</p>\n"
        + _table(["teachers", "aggregator", "strict", "lenient"], rows, text_columns=2)
    )


def _training(run: RunFolder) -> str:
    rows = []
    for name, history in run.histories.items():
        epochs = history["epochs"]
        tokens, seconds = (sum(epoch[key] for epoch in epochs) for key in ("tokens", "seconds"))
        dev = max((epoch["dev_f1"] for epoch in epochs if "dev_f1" in epoch), default=None)
        rows.append([name, len(epochs), history["best_epoch"], _number(dev), f"{tokens / max(seconds, 1e-9):,.0f}"])
    says = "Loss by step and dev F1 by epoch of " + ", ".join(run.histories)
    return svg(plot_history(run.histories), says) + _table(["student", "epochs", "kept", "dev F1", "tokens/s"], rows)


def _selection(rounds: Sequence[Mapping[str, Any]]) -> str:
    rows, notes = [], 0
    for number, record in enumerate(rounds, 1):
        notes += record["ids"]
        spent = record["usd"] if record["usd"] is not None else record["estimated_usd"]
        rows.append([number, notes, _dollars(spent), _number(record["dev_f1"])])
    return (
        "<p>Round by round: notes that paid teachers have labelled so far, what that cost, and strict micro F1 on the "
        "dev documents of the student that learnt from them.</p>\n" + _table(["round", "notes", "$", "dev F1"], rows)
    )


def _cost(money: Mapping[str, Any]) -> str:
    rows = [
        [
            each["name"],
            _number(each["f1"]),
            _dollars(each["usd_per_1k_notes"]),
            _dollars(each["usd_per_1m_notes"]),
            _seconds(each["seconds_per_note"]),
            _seconds(each["p50_seconds"]),
            _seconds(each["p95_seconds"]),
            _ratio(each["times_cheaper"]),
            _ratio(each["times_faster"]),
            "–" if each["break_even_notes"] is None else f"{each['break_even_notes']:,}",
            "yes" if each["best"] else "",
        ]
        for each in money["systems"]
    ]
    head = [
        "system", "F1", "$ per 1,000 notes", "$ per million", "time a note", "p50", "p95", "times the student's $",
        "times its time", "student pays after", "on the front",
    ]  # fmt: skip
    parts = [f"<p>{_text(money['recommendation'])}</p>\n", _table(head, rows)]
    parts.append(
        f"<p>Labels cost {_dollars(money['labeling_usd'])} dollars, training {_dollars(money['training_usd'])}. What "
        f"runs here is priced by {_text(money['hardware']['says'])}; measured on {_text(money['machine'])}. A system "
        "is on the front if no other is at least as good in F1, dollars and seconds, and better in one. Ratios have "
        "95% intervals.</p>\n"
    )
    says = "F1 against dollars per 1,000 notes and against seconds a note, of every system"
    parts.append(svg(plot_costs(money), says))
    if (even := plot_break_even(money)) is not None:
        parts.append(svg(even, "Dollars spent by number of notes; where lines cross the student has paid"))
    return "".join(parts)


def _errors(run: RunFolder) -> str:
    known = {system.name: set(system.scores.strict.per_label) for system in run.systems}
    documents = list(run.documents())
    data = browser_data(documents[:_MOST_NOTES], known)
    chosen = next((n for n, system in enumerate(run.systems) if system.kind == "distilled"), 0)
    data["chosen"] = chosen
    more = len(documents) - _MOST_NOTES
    left_out = f"<p>{more:,} more test documents are left out.</p>\n" if more > 0 else ""
    return (
        _counts(run.systems)
        + left_out
        + _BROWSER
        + f'<script type="application/json" id="notes">{embedded(data)}</script>\n'
    )


def _counts(systems: Sequence[System]) -> str:
    """How many mentions each system has right, missed and made up."""
    rows = []
    for system in systems:
        micro = system.scores.strict.micro
        precision, recall = f"{micro.precision:.3f}", f"{micro.recall:.3f}"
        rows.append([system.name, round(micro.tp), round(micro.fn), round(micro.fp), precision, recall])
    head = ["system", "right", "missed or wrong", "spurious or wrong", "precision", "recall"]
    return "<p>Mentions in the labels that each system knows, strict:</p>\n" + _table(head, rows)


def _ledger(entries: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["teacher"],
            f"{each['documents']:,}",
            each["failed"],
            f"{each['input_tokens']:,}",
            f"{each['output_tokens']:,}",
            _dollars(each["cost_usd"]),
            each["unknown"],
            _seconds(each["wall_seconds_per_document"]),
            _seconds(each["p50_seconds"]),
            _seconds(each["p95_seconds"]),
        ]
        for each in entries
    ]
    head = [
        "teacher", "notes", "failed", "tokens in", "tokens out", "$ billed", "notes without a price",
        "wall time a note", "p50", "p95",
    ]  # fmt: skip
    return "<p>What labelling the training notes took. What nobody bills has no price.</p>\n" + _table(head, rows)


def _data(parts: Mapping[str, Any]) -> str:
    labels = sorted({label for part in parts.values() for label in part["mentions"]})
    rows = [
        [
            name,
            f"{part['documents']:,}",
            f"{part['characters']:,}",
            f"{part['median_characters']:,.0f}",
            *(f"{part['mentions'].get(label, 0):,}" for label in labels),
        ]
        for name, part in parts.items()
    ]
    head = ["part", "documents", "characters", "median", *labels]
    return "<p>Mentions are those of the people who labelled the documents.</p>\n" + _table(head, rows)


def _recipe(run: RunFolder) -> str:
    environment = json.dumps(run.environment, indent=2, ensure_ascii=False)
    recipe = json.dumps(run.recipe, indent=2, ensure_ascii=False)
    return (
        f"<p>As it was run, with all defaults and without secrets.</p>\n<pre>{_text(recipe)}</pre>\n"
        f"<h3>Environment</h3>\n<pre>{_text(environment)}</pre>\n"
    )


def _table(head: Cells, rows: Iterable[Cells], *, text_columns: int = 1) -> str:
    lines = ["".join(f'<th scope="col">{_text(cell)}</th>' for cell in head)]
    for first, *rest in rows:
        cells = "".join(
            f'<td class="text">{_text(cell)}</td>' if n < text_columns - 1 else f"<td>{_text(cell)}</td>"
            for n, cell in enumerate(rest)
        )
        lines.append(f'<th scope="row">{_text(first)}</th>{cells}')
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f'<div class="wide" tabindex="0"><table>\n{body}</table></div>\n'


def _text(value: object) -> str:
    """Text as HTML. NUL cannot stand in HTML at all."""
    return escape(str(value)).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _f1(system: System) -> str:
    micro = system.scores.strict.micro
    interval = "" if micro.f1_interval is None else " [{:.3f}, {:.3f}]".format(*micro.f1_interval)
    return f"{micro.f1:.3f}{interval}"


def _with_interval(micro: Mapping[str, Any]) -> str:
    interval = micro.get("f1_interval")
    return f"{micro['f1']:.3f}" + (" [{:.3f}, {:.3f}]".format(*interval) if interval else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _dollars(value: float | None) -> str:
    if value is None:
        return "unknown"
    if value >= 1 or value == 0:
        return f"{value:,.2f}"
    return f"{value:.{2 - math.floor(math.log10(value))}f}"  # three digits that are not 0, and no exponent


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    unit, size = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if value >= s), ("µs", 1e-6))
    return f"{value / size:,.3g} {unit}"


def _ratio(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "–"
    return f"{found['ratio']:,.3g} [{found['interval'][0]:,.3g}, {found['interval'][1]:,.3g}]"


def _resource(name: str) -> str:
    return (resources.files("clinidistill.report") / name).read_text(encoding="utf-8")


_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'sha256-{hash}'">
<title>{name}: report</title>
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header><h1>{name}</h1><p>Report of a run, by clinidistill {version}</p></header>
"""
_BROWSER = """\
<form id="filters" aria-label="Which notes are shown">
<label>System <select id="system"></select></label>
<label>Errors <select id="kind"></select></label>
<label>Label <select id="label"></select></label>
<label><input type="checkbox" id="everyone"> what every system says</label>
<button type="button" id="back">Back</button>
<button type="button" id="on">On</button>
<output id="shown" aria-live="polite"></output>
</form>
<noscript><p>Notes are drawn by a script, which this browser does not run.</p></noscript>
<p id="legend"></p>
<div id="browser"></div>
"""
