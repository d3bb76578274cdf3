"""One epoch of MiniLM on 20 case reports: the Distiller against Hugging Face's Trainer.

Both get the same windows. The Trainer takes 8 at a time and pads them to the longest, with its defaults (fp32) or tuned
by hand (bf16, windows of like length together); the Distiller groups windows of like length under a token budget, in
fp32 and in its own default precision. On CPUs it drops keys in place of attention weights; the tuned Trainer is
therefore run without that dropout as well. Tokens are counted without padding.
"""

import pytest
from hugging_face import TUNED, trainer_seconds

import clinidistill as cd

ROUNDS = 2


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_an_epoch_against_the_trainer(benchmark, new_student, reports, tmp_path, capsys, precision):
    distiller = cd.Distiller(epochs=1, precision=precision, device="cpu", show=False)
    benchmark.pedantic(
        lambda student: distiller.fit(student, reports), setup=lambda: ((new_student(),), {}), rounds=ROUNDS
    )
    ours = benchmark.stats.stats.min
    examples = list(new_student().encode(reports))
    peers = {"Trainer, defaults": ({}, {}), "Trainer, bf16 and grouped by length": ({}, TUNED)}
    peers["– the latter without dropout of attention"] = ({"attention_dropout": 0.0}, TUNED)
    tokens = sum(len(example) for example in examples)
    with capsys.disabled():
        print(f"\none epoch, {len(reports)} case reports, {tokens} tokens")
        print(f"    Distiller ({precision}) {tokens / ours:,.0f} tokens/s, encoding included")
        for peer, (options, tuning) in peers.items():
            student = new_student(**options)
            theirs = min(trainer_seconds(student, examples, tmp_path, use_cpu=True, **tuning) for _ in range(ROUNDS))
            benchmark.extra_info[peer] = theirs
            print(f"    {peer}: {tokens / theirs:,.0f} tokens/s; the Distiller {theirs / ours:.2f} times as fast")
