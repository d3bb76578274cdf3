"""Ten language-model teachers combined: recorded answers about VAERS, put together by each aggregator, against people.

    python examples/vaers/combine_recorded.py

prints three tables in Markdown: every teacher and every aggregator without people's help; aggregators that learn from a
half of the passages, scored on the other half, both ways in five random divisions; and whether what they gain over the
best single teacher is more than luck. It reads `recorded_llm_vaers` in the data folder (CLINIDISTILL_DATA; see
docs/data.md).
"""

from collections.abc import Mapping, Sequence
from random import Random
from statistics import mean, stdev

from evaluate_recorded import LABELS, selections, short, table

import clinidistill as cd
from clinidistill.settings import Settings

WITHOUT_GOLD = ("union", "majority", "weighted", "dawid-skene", "hmm", "auto")
WITH_GOLD = ("weighted", "dawid-skene", "stacked", "auto")
DIVISIONS = 5
Silver = Mapping[str, list[cd.Document]]


def main() -> None:
    folder = Settings().data / "recorded_llm_vaers"
    if not folder.is_dir():
        print(f"{folder} is not there: nothing to combine (CLINIDISTILL_DATA names the data folder)")
        return
    answers = folder / "responses.jsonl.gz"
    gold = list(cd.load_dataset("vaers", path=folder, split="test"))
    teachers = [
        cd.load_teacher("recorded", path=answers, model=model, prompt=prompt, labels=LABELS)
        for model, prompt in selections(answers)
    ]
    labels = cd.label(gold, teachers, progress=False)

    alone = {teacher: list(labels.predictions(teacher)) for teacher in labels.teachers}
    combined = {name: list(cd.load_aggregator(name).fit(labels).combine(labels)) for name in WITHOUT_GOLD}
    best = max(alone, key=lambda name: scores(gold, alone[name])[0])
    rows = [(name, "one teacher", *map(short, scores(gold, alone[name]))) for name in alone]
    rows += [(name, "all ten", *map(short, scores(gold, combined[name]))) for name in combined]
    print(table(("system", "", "strict", "lenient"), rows))

    divisions = halves(len(gold))
    learned = [with_gold(gold, labels, alone, inside) for inside in divisions]
    both: dict[str, list[tuple[float, float]]] = {}
    for inside, found in zip(divisions, learned, strict=True):
        rest = [n for n in range(len(gold)) if n not in inside]
        for name, silver in (combined | found | {f"{best}, best in hindsight": alone[best]}).items():
            pair = scores([gold[n] for n in rest], [silver[n] for n in rest])
            both.setdefault(name, []).append(pair)
    print(table(("system", "", "strict", "spread", "lenient"), [spread(name, both[name]) for name in both]))

    # Each passage is answered by a model that has not learned from it: the two halves of a division together.
    judged = dict(combined)
    for name in learned[0]:
        judged[name] = [
            found[name][n]
            for n in range(len(gold))
            for inside, found in [(divisions[0], learned[0]) if n not in divisions[0] else (divisions[1], learned[1])]
        ]
    rows = []
    for name, silver in judged.items():
        result = cd.compare(gold, silver, alone[best])
        low, high = result.interval
        rows.append((name, best, f"{result.difference:+.3f}", f"{low:+.3f} to {high:+.3f}", f"{result.p:.2g}"))
    print(table(("system", "against", "difference, strict", "95 %", "p"), rows))


def halves(number: int) -> list[frozenset[int]]:
    """Random halves of so many documents by place, each followed by the other half."""
    found = []
    for seed in range(DIVISIONS):
        one = frozenset(Random(seed).sample(range(number), number // 2))
        found += [one, frozenset(range(number)) - one]
    return found


def with_gold(gold: Sequence[cd.Document], labels: cd.Labels, alone: Silver, inside: frozenset[int]) -> Silver:
    """What aggregators make of all passages that learned from those `inside`, and the teacher that is best there."""
    dev = [gold[n] for n in sorted(inside)]
    chosen = max(alone, key=lambda name: scores(dev, [alone[name][n] for n in sorted(inside)])[0])
    found = {f"{name}, dev": list(cd.load_aggregator(name).fit(labels, dev).combine(labels)) for name in WITH_GOLD}
    return found | {"best single, dev": alone[chosen]}


def scores(gold: Sequence[cd.Document], silver: Sequence[cd.Document]) -> tuple[float, float]:
    """Strict and lenient F1."""
    found = cd.evaluate(gold, silver)
    return found.strict.micro.f1, found.lenient.micro.f1


def spread(name: str, pairs: Sequence[tuple[float, float]]) -> tuple[str, ...]:
    strict, lenient = zip(*pairs, strict=True)
    return name, f"{len(pairs)} halves", short(mean(strict)), f"± {short(stdev(strict))}", short(mean(lenient))


if __name__ == "__main__":
    main()
