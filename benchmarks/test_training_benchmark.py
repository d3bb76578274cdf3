"""One epoch of MiniLM on 20 case reports: the Distiller against Hugging Face's Trainer.

Both get the same windows. The Trainer takes 8 at a time and pads them to the longest, with its defaults (fp32) or tuned
by hand (bf16, windows of like length together); the Distiller groups windows of like length under a token budget, in
fp32 and in its own default precision. On CPUs it drops keys in place of attention weights; the tuned Trainer is
therefore run without that dropout as well. Tokens are counted without padding.
"""

from time import perf_counter

import pytest
import transformers

import clinidistill as cd

ROUNDS = 2


def trainer_seconds(student, examples, folder, **tuning):
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
        **tuning,
    )
    collator = transformers.DataCollatorForTokenClassification(student.encoder.tokenizer)
    trainer = transformers.Trainer(student.model, settings, train_dataset=rows, data_collator=collator)
    trainer.remove_callback(transformers.PrinterCallback)
    started = perf_counter()
    trainer.train()
    return perf_counter() - started


TUNED = {"bf16": True, "train_sampling_strategy": "group_by_length"}


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_an_epoch_against_the_trainer(benchmark, new_student, reports, tmp_path, capsys, precision):
    distiller = cd.Distiller(epochs=1, precision=precision, device="cpu", show=False)
    benchmark.pedantic(
        lambda student: distiller.fit(student, reports), setup=lambda: ((new_student(),), {}), rounds=ROUNDS
    )
    ours = benchmark.stats.stats.min
    examples = list(new_student().encode(reports))
    peers = {"Trainer, defaults": ({}, {}), "Trainer, bf16 and grouped by length": ({}, TUNED)}
    peers["– the latter without dropout of attention"] = ({"attention_dropout": 0.0}, TUNED)
    tokens = sum(len(example) for example in examples)
    with capsys.disabled():
        print(f"\none epoch, {len(reports)} case reports, {tokens} tokens")
        print(f"    Distiller ({precision}) {tokens / ours:,.0f} tokens/s, encoding included")
        for peer, (options, tuning) in peers.items():
            student = new_student(**options)
            theirs = min(trainer_seconds(student, examples, tmp_path, **tuning) for _ in range(ROUNDS))
            benchmark.extra_info[peer] = theirs
            print(f"    {peer}: {tokens / theirs:,.0f} tokens/s; the Distiller {theirs / ours:.2f} times as fast")
