"""MiniLM with a fresh head over 20 case reports: predict against transformers' own pipeline.

Both read the whole notes, in windows of 512 tokens that share 64, on the CPU. The pipeline takes 1 window at a time by
default; its best batch size is found by trying. All are timed in turn, so that a busy machine is busy for all; what a
first call sets up (a copy of the weights) is left out of the rounds and told.
"""

from time import perf_counter

import transformers

ROUNDS = 2
SIZES = (1, 4, 8, 16, 32)


def seconds(work):
    started = perf_counter()
    work()
    return perf_counter() - started


def test_predict_against_the_pipeline(benchmark, new_student, reports, tmp_path, capsys):
    student, texts = new_student(), [document.text for document in reports]
    student.save(tmp_path)
    pipeline = transformers.pipeline(
        "token-classification", model=str(tmp_path), aggregation_strategy="simple", stride=64, device="cpu"
    )
    ours = {
        "bf16 where the CPU has it": lambda: list(student.predict(texts, device="cpu")),
        "fp32": lambda: list(student.predict(texts, device="cpu", precision="fp32")),
    }
    theirs = {size: lambda size=size: list(pipeline(texts, batch_size=size)) for size in SIZES}
    first = seconds(lambda: list(student.predict(texts[:1], device="cpu")))
    ways = ours | theirs
    best = {way: min(times) for way, times in timed_in_turn(ways).items()}
    found = benchmark.pedantic(next(iter(ours.values())), rounds=1)
    assert [document.text for document in found] == texts
    fastest = min(SIZES, key=best.get)
    benchmark.extra_info["seconds"] = {str(way): time for way, time in best.items()}
    with capsys.disabled():
        print(f"\npredict, {len(texts)} case reports; the first call took {first:.2f} s for one")
        for size in SIZES:
            print(f"    pipeline, batches of {size}: {len(texts) / best[size]:.1f} notes/s")
        for way in ours:
            print(
                f"    clinidistill, {way}: {len(texts) / best[way]:.1f} notes/s, {best[1] / best[way]:.1f} times the "
                f"pipeline's default, {best[fastest] / best[way]:.1f} times its best (batches of {fastest})"
            )


def timed_in_turn(ways):
    """Seconds of each way in each round."""
    times = {way: [] for way in ways}
    for _ in range(ROUNDS):
        for way, work in ways.items():
            times[way].append(seconds(work))
    return times
