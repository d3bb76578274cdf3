"""A small experiment: notes of drugs and symptoms, and terminologies that lack some of the names."""

import json

import clinidistill as cd

DRUGS = ["aspirin", "codeine", "insulin", "lisinopril", "metformin", "naproxen", "prednisone", "warfarin"]
SYMPTOMS = ["cough", "dizziness", "fatigue", "fever", "headache", "nausea"]
PARTS = {"train": (0, 24), "dev": (24, 32), "test": (32, 44), "other": (44, 52)}


def notes(first, last):
    """Notes of a drug and a symptom, with both labelled."""
    for n in range(first, last):
        drug, symptom = DRUGS[n % len(DRUGS)], SYMPTOMS[n % len(SYMPTOMS)]
        text = f"The patient took {drug} daily on {n} days, denied {symptom}."
        spans = [(drug, "medication"), (symptom, "symptom")]
        marked = [cd.Span(text.index(word), text.index(word) + len(word), label) for word, label in spans]
        yield cd.Document(f"n{n:02}", text, marked)


def save_parts(folder):
    for part, (first, last) in PARTS.items():
        cd.MemoryDataset(notes(first, last)).save(folder / f"{part}.jsonl")


def head(base, epochs=2):
    """What all tasks share."""
    return f"""name = "tiny"
seed = 3
resamples = 50
[student]
use = "token-classifier"
base = "{base.as_posix()}"
[distiller]
epochs = {epochs}
lr = 3e-3
batch_tokens = 256
precision = "fp32"
"""


def task(name, label, names, teachers=3):
    """A task's TOML: so many vocabularies, each of which lacks some of the names."""
    lines = [f'[[tasks]]\nname = "{name}"\nlabels = ["{label}"]']
    lines += [f'{part} = {{ use = "jsonl", path = "{part}.jsonl" }}' for part in ("train", "dev", "test")]
    lines += ['external.other = { use = "jsonl", path = "other.jsonl" }']
    for number in range(teachers):
        listed = json.dumps([each for n, each in enumerate(names) if n % teachers != number])
        lines += [f'[[tasks.teachers]]\nuse = "terminology"\nname = "{name}-{number}"\nlabel = "{label}"']
        lines += [f"terminology = {listed}"]
    return "\n".join(lines) + "\n"


def recorded(folder, base):
    """Two recorded teachers that have answered the training notes and nothing else."""
    save_parts(folder)
    answers = []
    for model, known in (("good", DRUGS), ("poor", DRUGS[:3])):
        for note in notes(0, 24):
            text = note.text
            for drug in known:
                text = text.replace(drug, f'<span class="medication">{drug}</span>')
            answers.append({"id": note.id, "model": model, "response": text})
    (folder / "answers.jsonl").write_text("".join(json.dumps(each) + "\n" for each in answers))
    teachers = "".join(
        f'[[tasks.teachers]]\nuse = "recorded"\nname = "{model}"\nmodel = "{model}"\npath = "answers.jsonl"\n'
        'labels = ["medication"]\n'
        for model in ("good", "poor")
    )
    file = folder / "recorded.toml"
    file.write_text(f"""name = "recorded"
resamples = 50
aggregators = ["union", "dawid-skene"]
[student]
use = "token-classifier"
base = "{base.as_posix()}"
[distiller]
epochs = 1
lr = 3e-3
[[tasks]]
name = "drugs"
labels = ["medication"]
train = {{ use = "jsonl", path = "train.jsonl" }}
search = {{ use = "jsonl", path = "train.jsonl" }}
dev = {{ use = "jsonl", path = "dev.jsonl" }}
test = {{ use = "jsonl", path = "test.jsonl" }}
usd_per_note = {{ good = 0.03 }}
{teachers}""")
    return file
