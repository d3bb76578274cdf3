"""Ten language-model teachers without a network: recorded answers about VAERS, grounded, and scored against people.

    python examples/vaers/evaluate_recorded.py

prints two tables in Markdown. It reads `recorded_llm_vaers` in the data folder (CLINIDISTILL_DATA; see docs/data.md).
"""

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import clinidistill as cd
from clinidistill.settings import Settings

LABELS = ("investigation", "nervous_AE", "other_AE", "procedure")
STATUSES = ("exact", "normalised", "fuzzy", "lost")
PUBLISHED = {  # relaxed F1 in the abstract of Hu et al., JAMIA 2024
    ("GPT-3.5", "baseline"): ".301",
    ("GPT-3.5", "baseline_definition_guideline_erroranalysis_5shot"): ".676",
    ("GPT-4", "baseline"): ".593",
    ("GPT-4", "baseline_definition_guideline_erroranalysis_5shot"): ".736",
}


def main() -> None:
    folder = Settings().data / "recorded_llm_vaers"
    if not folder.is_dir():
        print(f"{folder} is not there: nothing to evaluate (CLINIDISTILL_DATA names the data folder)")
        return
    test = list(cd.load_dataset("vaers", path=folder, split="test"))
    overall, by_label = [], []
    for model, prompt in selections(folder / "responses.jsonl.gz"):
        teacher = cd.load_teacher(
            "recorded", path=folder / "responses.jsonl.gz", model=model, prompt=prompt, labels=LABELS
        )
        labels = cd.label(test, teacher, progress=False)
        predicted = labels.predictions(teacher.name)
        scores = cd.evaluate(test, predicted)
        found = mentions(labels)
        system = (model, prompt.replace("definition_", "").replace("_", " + "))
        any_overlap = short(relaxed(test, list(predicted)))
        f1 = [short(scores.strict.micro.f1), short(scores.lenient.micro.f1), any_overlap]
        counts = [str(found[status]) for status in STATUSES]
        overall.append((*system, *f1, PUBLISHED.get((model, prompt), ""), *counts, str(len(labels.failures()))))
        pairs = [(scores.strict.per_label[label].f1, scores.lenient.per_label[label].f1) for label in LABELS]
        by_label.append((*system, *(f"{short(strict)} / {short(lenient)}" for strict, lenient in pairs)))
    head = ("model", "prompt")
    print(table((*head, "strict", "lenient", "any overlap", "published", *STATUSES, "failed"), overall))
    print(table((*head, *LABELS), by_label))


def selections(answers: Path) -> list[tuple[str, str]]:
    """Every model with every prompt, in the file's order."""
    with gzip.open(answers, "rt", encoding="utf-8") as lines:
        return list(dict.fromkeys((answer["model"], answer["prompt"]) for answer in map(json.loads, lines)))


def mentions(labels: cd.Labels) -> Counter[str]:
    """How many marked mentions have each status."""
    found: Counter[str] = Counter()
    for opinions in labels:
        for annotation in opinions.annotations.values():
            found.update(annotation.usage["mentions"])
    return found


def relaxed(gold: Sequence[cd.Document], predicted: Sequence[cd.Document]) -> float:
    """F1 where a mention counts when it overlaps any of its label on the other side."""
    hits, totals = [0, 0], [0, 0]
    for documents in zip(gold, predicted, strict=True):
        for side, (one, other) in enumerate((documents, documents[::-1])):
            totals[side] += len(one.spans)
            hits[side] += sum(any(a.label == b.label and a.overlaps(b) for b in other.spans) for a in one.spans)
    recall, precision = (hit / total for hit, total in zip(hits, totals, strict=True))
    return 2 * precision * recall / (precision + recall)


def short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(head)} |"
        yield f"| --- | --- |{' ---: |' * (len(head) - 2)}"
        for row in rows:
            yield f"| {' | '.join(row)} |"

    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    main()
