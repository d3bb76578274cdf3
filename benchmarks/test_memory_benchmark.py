"""Peak memory of encoding a corpus and training one epoch on it, as the corpus grows tenfold.

Case reports, repeated under other ids, are read lazily from JSON lines, tokenised into windows of 512 tokens, and
learnt by a BERT of one layer of 8, in a process of its own for each size. Both exceed the megabyte that a corpus may
hold in memory here (64 by default).
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import count, islice

import pytest

from clinidistill.datasets.jsonl import JsonLines

SMALL = 300  # reports: 480 windows

TRAIN = """
import json, sys
import clinidistill as cd
from clinidistill.distiller.corpus import Corpus
from clinidistill.distiller.loop import Training

def peak():
    with open("/proc/self/status") as status:  # getrusage would count the process that started this one
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))

base, notes, labels = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
student = cd.load_student("token-classifier", base=base, labels=labels)
student.prepare(labels)
settings = cd.Distiller(epochs=1, batch_tokens=1024, precision="fp32", device="cpu", show=False)
student.encoder.windows(["fever"])
before = peak()
corpus = Corpus(student.encode(cd.load_dataset("jsonl", path=notes)), memory=2**20)
encoded = peak()
history = Training(settings, student, corpus, None).go(None, None)
print(json.dumps({"windows": len(corpus), "tokens": int(corpus.lengths.sum()), "steps": len(history.steps),
                  "before": before, "encoded": encoded, "trained": peak()}))
"""


def repeated(reports):
    return (replace(report, id=f"{report.id}-{n}") for n in count() for report in reports)


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak")
def test_peak_memory_as_the_corpus_grows_tenfold(narrow_base, reports, tmp_path, capsys):
    labels = json.dumps(sorted({span.label for report in reports for span in report.spans}))
    runs = []
    for size in (SMALL, 10 * SMALL):
        notes = tmp_path / f"{size}.jsonl"
        JsonLines.write(islice(repeated(reports), size), notes)
        done = subprocess.run(
            [sys.executable, "-c", TRAIN, narrow_base, notes, labels],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        runs.append(json.loads(done.stdout))
    small, large = runs
    with capsys.disabled():
        print(f"\n{'windows':>9}{'tokens':>12}{'steps':>7}{'started':>10}{'encoded':>10}{'trained':>10}  MB at most")
        for run in runs:
            megabytes = "".join(f"{run[when] / 1e6:10.0f}" for when in ("before", "encoded", "trained"))
            print(f"{run['windows']:9,}{run['tokens']:12,}{run['steps']:7,}{megabytes}")
        print(f"peaks: {large['trained'] / small['trained']:.3f} times; ", end="")
        print(f"{(large['trained'] - small['trained']) / 1e6:.0f} MB more, where lists of examples would take ", end="")
        print(f"{16 * (large['tokens'] - small['tokens']) / 1e6:.0f} MB more")
    assert large["windows"] == pytest.approx(10 * small["windows"], rel=0.01)
    assert large["trained"] < 1.1 * small["trained"]
