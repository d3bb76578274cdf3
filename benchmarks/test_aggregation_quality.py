"""How good silver labels are: our aggregators, crowd-kit's and skweak's on the same opinions, with gold beside.

Prints tables in Markdown, strict / lenient F1. What learns from people learns from dev documents; all are scored on the
others. crowd-kit votes by token; where a teacher does not know a label it is told that it says "O", or nothing, or each
label is put to those who know it. The seeds draw documents and teachers, or divide the documents.
"""

from collections import defaultdict

import numpy as np
import pytest
from label_model_peers import MODELS, Skweak, crowdkit
from recorded_teachers import recorded, terminology_labels
from simulated_teachers import PANELS, simulate

import clinidistill as cd

pytestmark = pytest.mark.filterwarnings("ignore")  # the peers use what pandas and NumPy deprecate

SEEDS = range(5)
WITHOUT_DEV = ("union", "majority", "weighted", "dawid-skene", "hmm", "auto")
WITH_DEV = ("weighted", "dawid-skene", "stacked", "auto")
TREATMENTS = {"O": "unknown is O", "missing": "unknown is missing", "apart": "each label apart"}
SKWEAK = ("SequentialMajorityVoter", "HMM", "NaiveBayes")


def silver(labels, dev=None):
    """Silver documents of every side that learns from `dev`, or without."""
    names = WITHOUT_DEV if dev is None else WITH_DEV
    return {
        f"{name}{'' if dev is None else ', dev'}": list(cd.load_aggregator(name).fit(labels, dev).combine(labels))
        for name in names
    }


def peers(labels, partial):
    """Silver documents of crowd-kit and skweak; `partial` if not all teachers know all labels."""
    found = {}
    for name, model in MODELS.items():
        for treatment, words in TREATMENTS.items():
            if treatment != "missing" or partial:
                found[f"crowd-kit {name}, {words if partial or treatment == 'apart' else 'all at once'}"] = crowdkit(
                    model, labels, treatment
                )
    skweak = Skweak(labels)
    return found | {f"skweak {name}": skweak.documents(name) for name in SKWEAK}


def add(rows, gold, found, where):
    """Scores of what was found `where`, a set of ids."""
    wanted = [document for document in gold if document.id in where]
    for name, documents in found.items():
        scores = cd.evaluate(wanted, [document for document in documents if document.id in where])
        rows[name].append((scores.strict.micro.f1, scores.lenient.micro.f1))
    return rows


def singles(labels):
    return {name: list(labels.predictions(name)) for name in labels.teachers}


def best_single(gold, labels, dev, where):
    """The best teacher in hindsight, and the one that is best on dev."""
    found = singles(labels)

    def f1(name, ids):
        wanted = [document for document in gold if document.id in ids]
        return cd.evaluate(wanted, [d for d in found[name] if d.id in ids]).strict.micro.f1

    return {
        "best single, hindsight": found[max(found, key=lambda name: f1(name, where))],
        "best single, dev": found[max(found, key=lambda name: f1(name, dev))],
    }


def halves(gold, labels, rows):
    """Each half of the documents as dev once, for every seed."""
    ids = [document.id for document in gold]
    alone = silver(labels)
    for seed in SEEDS:
        first = np.random.default_rng(seed).permutation(len(ids)) < len(ids) // 2
        for half in (first, ~first):
            dev = {name for name, inside in zip(ids, half, strict=True) if inside}
            rest = set(ids) - dev
            found = alone | silver(labels, [d for d in gold if d.id in dev]) | best_single(gold, labels, dev, rest)
            add(rows, gold, found, rest)


def table(title, columns):
    """Markdown: mean, and standard deviation where there are several."""
    names = list(dict.fromkeys(name for rows in columns.values() for name in rows))
    lines = [f"\n**{title}**\n", f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(cell(rows.get(name)) for rows in columns.values())} |" for name in names]
    return "\n".join(lines)


def cell(pairs):
    if not pairs:
        return "–"
    mean, spread = np.mean(pairs, axis=0), np.std(pairs, axis=0)
    shown = " / ".join(f"{value:.3f}".removeprefix("0") for value in mean)
    return shown if len(pairs) == 1 else shown + f" ± {spread[0]:.3f}".replace("0.", ".")


def test_simulated_teachers(capsys):
    columns = {}
    for panel, teachers in PANELS.items():
        rows = columns[panel] = defaultdict(list)
        partial = any(len(teacher.knows) < 3 for teacher in teachers)
        for seed in SEEDS:
            gold, labels = simulate(teachers, documents=300, seed=seed)
            dev, rest = {d.id for d in gold[:60]}, {d.id for d in gold[60:]}
            found = best_single(gold, labels, dev, rest) | silver(labels) | silver(labels, gold[:60])
            add(rows, gold, found | peers(labels, partial), rest)
    with capsys.disabled():
        print(table("Simulated: 240 documents, 60 for dev; mean of 5 seeds ± deviation of strict", columns))
    for rows in columns.values():
        best = max(np.mean(rows[name], axis=0)[0] for name in rows if name.startswith(("crowd-kit", "skweak")))
        assert np.mean(rows["auto, dev"], axis=0)[0] > best - 0.03


def test_recorded_language_models(capsys):
    gold, labels = recorded() or pytest.skip("recorded_llm_vaers is not in $CLINIDISTILL_DATA")
    columns = {"all 286 passages": defaultdict(list), "the half that is not dev": defaultdict(list)}
    everything = {document.id for document in gold}
    found = silver(labels) | peers(labels, partial=False) | singles(labels)
    add(columns["all 286 passages"], gold, found, everything)
    halves(gold, labels, columns["the half that is not dev"])
    with capsys.disabled():
        print(table("Ten recorded language models on VAERS; halves: 5 seeds, both ways", columns))
    whole = {name: pairs[0][0] for name, pairs in columns["all 286 passages"].items()}
    assert whole["auto"] > whole["majority"] + 0.02
    assert whole["auto"] > max(whole[name] for name in whole if name.startswith(("crowd-kit", "skweak")))


@pytest.mark.parametrize("corpus", ["MACCROBAT", "BC5CDR"])
def test_terminologies(capsys, corpus):
    gold, labels = terminology_labels(corpus) or pytest.skip("corpora are not in $CLINIDISTILL_DATA")
    columns = {"all documents": defaultdict(list), "the half that is not dev": defaultdict(list)}
    found = silver(labels) | peers(labels, partial=True) | singles(labels)
    add(columns["all documents"], gold, found, {document.id for document in gold})
    halves(gold, labels, columns["the half that is not dev"])
    with capsys.disabled():
        print(table(f"Terminologies on {corpus}; halves: 5 seeds, both ways", columns))
    theirs = [
        pairs[0][0] for name, pairs in columns["all documents"].items() if name.startswith(("crowd-kit", "skweak"))
    ]
    assert np.mean(columns["the half that is not dev"]["auto, dev"], axis=0)[0] > max(theirs)
