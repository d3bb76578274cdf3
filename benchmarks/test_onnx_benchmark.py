"""MiniLM as ONNX, in fp32 and int8, over 20 case reports: predict against transformers' own pipeline on torch.

Both have the same weights (a fresh head that mostly says O, as trained ones do) and read the whole notes on the CPU, in
windows of 512 tokens that share 64. All are timed in turn, so that a busy machine is busy for all; the best of two
rounds counts.
"""

from time import perf_counter

import pytest
import torch
import transformers

import clinidistill as cd

pytest.importorskip("onnxruntime", reason="ONNX needs onnxruntime: pip install 'clinidistill[onnx]'")

ROUNDS = 2
SIZES = (1, 16, 32)  # 1 is the pipeline's default
CALIBRATION = 4


def test_onnx_against_the_pipeline(benchmark, new_student, reports, tmp_path, capsys):
    student, texts = new_student(), [document.text for document in reports]
    with torch.no_grad():
        student.model.classifier.bias[0] += 1
    student.save(tmp_path / "torch")
    student.export("onnx", tmp_path / "fp32")
    student.export("onnx", tmp_path / "int8", quantize="int8", calibration=texts[:CALIBRATION])
    loaded = {form: cd.load_student(tmp_path / form) for form in ("fp32", "int8")}
    pipeline = transformers.pipeline(
        "token-classification", str(tmp_path / "torch"), aggregation_strategy="simple", stride=64, device="cpu"
    )
    ways = {form: lambda one=one: list(one.predict(texts)) for form, one in loaded.items()}
    ways |= {size: lambda size=size: list(pipeline(texts, batch_size=size)) for size in SIZES}
    best = timed_in_turn(ways)
    assert [document.text for document in benchmark.pedantic(ways["int8"], rounds=1)] == texts
    fastest = min(SIZES, key=best.get)
    benchmark.extra_info["seconds"] = {str(way): time for way, time in best.items()}
    with capsys.disabled():
        print(f"\npredict as ONNX, {len(texts)} case reports")
        for size in SIZES:
            print(f"    pipeline, batches of {size}: {len(texts) / best[size]:.1f} notes/s")
        for form in loaded:
            print(
                f"    clinidistill, {form}: {len(texts) / best[form]:.1f} notes/s, {best[1] / best[form]:.1f} times "
                f"the pipeline's default, {best[fastest] / best[form]:.1f} times its best (batches of {fastest})"
            )


def timed_in_turn(ways):
    """The least seconds of each."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for way, work in ways.items():
            started = perf_counter()
            work()
            best[way] = min(best[way], perf_counter() - started)
    return best
