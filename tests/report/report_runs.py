"""A run folder with hostile notes, as a run writes one."""

import json

import clinidistill as cd
from clinidistill.recipe.results import System

HOSTILE = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
DRUGS = ["aspirin", "codeine", "insulin", "warfarin"]


def notes(number, tail=""):
    for n in range(number):
        drug = DRUGS[n % len(DRUGS)]
        text = f"Took {drug} {'🩺 ' * (n % 3)}daily, no fever. {tail}"
        at = text.index("fever")
        spans = [cd.Span(5, 5 + len(drug), "medication"), cd.Span(at, at + 5, "symptom")]
        yield cd.Document(f"n{n:04}{HOSTILE if tail else ''}", text, spans)


def run_folder(folder, documents):
    """What the runner leaves, with two systems: one that misses symptoms, one that cuts medications short."""
    gold = list(documents)
    said = {
        "drugs": [note.with_spans(note.spans[:1], {"medication"}) for note in gold],
        "distilled": [
            note.with_spans([cd.Span(5, note.spans[0].end - 2, "medication"), note.spans[1]]) for note in gold
        ],
    }
    known = {"drugs": ["medication"], "distilled": ["medication", "symptom"]}
    kinds = {"drugs": "teacher", "distilled": "distilled"}
    systems = [
        System(name, kinds[name], cd.evaluate(gold, found, labels=known[name], bootstrap=20), 0.01)
        for name, found in said.items()
    ]
    folder.mkdir()
    cd.MemoryDataset(gold).save(folder / "test.jsonl")
    with (folder / "predictions.jsonl").open("w", encoding="utf-8") as lines:
        for row in zip(*said.values(), strict=True):
            spans = {name: [span.to_dict() for span in note.spans] for name, note in zip(said, row, strict=True)}
            lines.write(json.dumps({"id": row[0].id, "spans": spans}) + "\n")
    for name, value in {
        "recipe": {"name": "tiny", "student": {"base": "mini"}},
        "environment": {"seed": 0, "clinidistill": "0", "platform": "here"},
        "stages": {"train student": {"seconds": 6.0}},
        "scores": {"documents": len(gold), "systems": [system.to_dict() for system in systems]},
        "evidence": {
            "data": {"test": {"documents": len(gold), "characters": 1, "median_characters": 1, "mentions": {}}}
        },
        "history-student": {
            "steps": [{"step": 1, "loss": 1.0}],
            "epochs": [{"epoch": 1, "loss": 1.0, "tokens": 10, "seconds": 1.0, "dev_f1": 0.5}],
            "best_epoch": 1,
            "stopped_early": False,
        },
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(value))
    return folder
