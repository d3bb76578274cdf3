"""MiniLM with a fresh head over 20 case reports: predict against transformers' own pipeline.

Both read the whole notes, in windows of 512 tokens that share 64, in fp32. The pipeline takes 1 window at a time by
default.
"""

from time import perf_counter

import transformers

ROUNDS = 3


def pipeline_seconds(pipeline, texts, batch_size):
    started = perf_counter()
    assert len(list(pipeline(texts, batch_size=batch_size))) == len(texts)
    return perf_counter() - started


def test_predict_against_the_pipeline(benchmark, new_student, reports, tmp_path, capsys):
    student, texts = new_student(), [document.text for document in reports]
    found = benchmark.pedantic(
        lambda: list(student.predict(texts, device="cpu", precision="fp32")), rounds=ROUNDS, warmup_rounds=1
    )
    assert len(found) == len(texts)
    ours = benchmark.stats.stats.min
    student.save(tmp_path)
    pipeline = transformers.pipeline(
        "token-classification", model=str(tmp_path), aggregation_strategy="simple", stride=64, device="cpu"
    )
    theirs = {size: min(pipeline_seconds(pipeline, texts, size) for _ in range(ROUNDS)) for size in (1, 8)}
    benchmark.extra_info["pipeline_seconds"] = theirs
    with capsys.disabled():
        print(f"\npredict, {len(texts)} case reports: clinidistill {len(texts) / ours:.1f} notes/s")
        for size, seconds in theirs.items():
            print(
                f"    pipeline, batches of {size}: {len(texts) / seconds:.1f} notes/s; "
                f"clinidistill {seconds / ours:.2f} times as fast"
            )
