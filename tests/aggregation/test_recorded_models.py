"""Ten recorded language models of very unequal quality, with people's labels beside them (see docs/data.md)."""

import gzip
import json
import random

import pytest
from simulated_teachers import strict_f1

import clinidistill as cd
from clinidistill.settings import Settings

LABELS = ("investigation", "nervous_AE", "other_AE", "procedure")


@pytest.fixture(scope="module")
def recorded():
    folder = Settings().data / "recorded_llm_vaers"
    if not folder.is_dir():
        pytest.skip(f"{folder.name} is not in the data folder (CLINIDISTILL_DATA)")
    gold = cd.load_dataset("jsonl", path=folder / "gold.jsonl.gz", id_fields=["split", "id"])
    test, answers = [d for d in gold if d.meta["split"] == "test"], folder / "responses.jsonl.gz"
    with gzip.open(answers, "rt", encoding="utf-8") as lines:
        selections = dict.fromkeys((answer["model"], answer["prompt"]) for answer in map(json.loads, lines))
    teachers = [
        cd.load_teacher("recorded", path=answers, model=model, prompt=prompt, labels=LABELS)
        for model, prompt in selections
    ]
    labels = cd.label(test, teachers, progress=False)
    at_hand = {name: {o.document.id: o.annotations[name] for o in labels} for name in labels.teachers}
    return test, cd.Labels(test, labels.teachers, lambda teacher, _: at_hand[teacher])


def best_single(gold, labels):
    return max(strict_f1(gold, labels.predictions(teacher)) for teacher in labels.teachers)


def test_without_people_label_models_learn_whom_to_believe(recorded):
    gold, labels = recorded
    majority = strict_f1(gold, cd.load_aggregator("majority").combine(labels))
    best = best_single(gold, labels)
    assert majority < best  # what makes this set hard
    for name in ("dawid-skene", "hmm", "auto"):
        found = strict_f1(gold, cd.load_aggregator(name).fit(labels).combine(labels))
        assert found >= majority + 0.02, name
        assert found >= best - 0.02, name


def test_with_half_of_the_documents_labelled_the_other_half_beats_the_best_single_model(recorded):
    gold, labels = recorded
    ours, theirs = [], []
    for seed in range(3):
        shuffled = random.Random(seed).sample(gold, len(gold))
        halves = shuffled[::2], shuffled[1::2]
        for dev, rest in (halves, halves[::-1]):
            ours.append(strict_f1(rest, cd.load_aggregator("stacked").fit(labels, dev).combine(labels)))
            theirs.append(best_single(rest, labels))
    assert sum(ours) > sum(theirs)
