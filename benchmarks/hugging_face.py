"""Hugging Face's Trainer over what a student learns from, for the benchmarks of training on CPUs and GPUs."""

from time import perf_counter

import transformers

TUNED = {"bf16": True, "train_sampling_strategy": "group_by_length"}


def trainer_seconds(student, examples, folder, **tuning):
    """Seconds of one epoch of its Trainer over the student's windows."""
    rows = [
        {"input_ids": e.input_ids.tolist(), "attention_mask": [1] * len(e), "labels": e.targets.tolist()}
        for e in examples
    ]
    settings = transformers.TrainingArguments(
        str(folder),
        num_train_epochs=1,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=not tuning.get("use_cpu"),
        **tuning,
    )
    collator = transformers.DataCollatorForTokenClassification(student.encoder.tokenizer)
    trainer = transformers.Trainer(student.model, settings, train_dataset=rows, data_collator=collator)
    trainer.remove_callback(transformers.PrinterCallback)
    started = perf_counter()
    trainer.train()
    return perf_counter() - started
