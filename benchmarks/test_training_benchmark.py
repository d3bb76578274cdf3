"""One epoch of MiniLM on 20 case reports: the Distiller against Hugging Face's Trainer with its defaults (fp32).

Both get the same windows. The Trainer takes 8 at a time and pads them to the longest; the Distiller groups windows of
like length under a token budget, in fp32 as the Trainer does, and in its own default precision. Tokens are counted
without padding.
"""

from time import perf_counter

import pytest
import transformers

import clinidistill as cd

ROUNDS = 2


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


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_an_epoch_against_the_trainer(benchmark, new_student, reports, tmp_path, capsys, precision):
    distiller = cd.Distiller(epochs=1, precision=precision, device="cpu", show=False)
    benchmark.pedantic(
        lambda student: distiller.fit(student, reports), setup=lambda: ((new_student(),), {}), rounds=ROUNDS
    )
    ours = benchmark.stats.stats.min
    examples = new_student().encode(reports)
    theirs = min(trainer_seconds(new_student(), examples, tmp_path) for _ in range(ROUNDS))
    tokens = sum(len(example) for example in examples)
    benchmark.extra_info["trainer_seconds"] = theirs
    with capsys.disabled():
        print(
            f"\none epoch, {len(reports)} case reports, {tokens} tokens: Distiller ({precision}) {tokens / ours:,.0f} "
            f"tokens/s (encoding included), Trainer {tokens / theirs:,.0f} tokens/s, {theirs / ours:.2f} times as fast"
        )
