"""Putting teachers together: clinidistill against crowd-kit and skweak on the same tokens, in one process.

Ours goes from opinions to silver documents, the peers from what they read to what they answer: making their data frames
and spaCy documents is not timed, nor is reading spans off crowd-kit's answer. Sides take turns; the best round counts.
"""

from time import perf_counter

import numpy as np
import pytest
from label_model_peers import MODELS, Skweak, TokenMatrix
from recorded_teachers import held, recorded
from simulated_teachers import PANELS, simulate

import clinidistill as cd
from clinidistill.aggregation.dawid_skene import dawid_skene
from clinidistill.aggregation.majority import majority_vote

pytestmark = pytest.mark.filterwarnings("ignore")  # the peers use what pandas and NumPy deprecate

ROUNDS = 3


@pytest.fixture(scope="module", params=["simulated", "VAERS"])
def labels(request):
    if request.param == "simulated":
        return simulate(PANELS["two general, seven of one label"], documents=1000, seed=0)[1]
    found = recorded()
    if found is None:
        pytest.skip("recorded_llm_vaers is not in $CLINIDISTILL_DATA; see docs/data.md")
    return held(found[1])


def in_turns(**sides):
    """The best of some rounds of each, in seconds."""
    seconds = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, run in sides.items():
            started = perf_counter()
            run()
            seconds[name].append(perf_counter() - started)
    return {name: min(times) for name, times in seconds.items()}


def report(capsys, what, matrix, best):
    """Prints each side's rate, and how many times as fast as the last side it is."""
    *_, peer = best
    tokens = len(matrix.tags)
    with capsys.disabled():
        print(f"\n{what}: {len(matrix.documents)} documents, {tokens} tokens, {len(matrix.teachers)} teachers")
        for name, seconds in best.items():
            print(
                f"  {name:28} {seconds:8.3f} s {tokens / seconds:12,.0f} tokens/s {best[peer] / seconds:8.1f} x {peer}"
            )


def silver(name, labels):
    return lambda: list(cd.load_aggregator(name).fit(labels).combine(labels))


def test_majority_against_crowdkit(labels, capsys):
    matrix = TokenMatrix(labels)
    frame, classes = matrix.frame(), int(matrix.tags.max()) + 1
    best = in_turns(
        documents_to_documents=lambda: list(cd.load_aggregator("majority").combine(labels)),
        arrays=lambda: majority_vote(matrix.tags, classes),
        crowdkit=lambda: MODELS["MajorityVote"]().fit_predict(frame),
    )
    shares = majority_vote(matrix.tags, classes)
    theirs = np.array(matrix.by_token(MODELS["MajorityVote"]().fit_predict(frame)))
    assert (shares[np.arange(len(theirs)), theirs] == shares.max(axis=1)).all()
    report(capsys, "majority", matrix, best)
    assert best["arrays"] < best["crowdkit"]
    if len(matrix.tags) > 100_000:  # the VAERS passages take either side a hundredth of a second
        assert best["documents_to_documents"] < best["crowdkit"]


def test_dawid_skene_against_crowdkit(labels, capsys):
    matrix = TokenMatrix(labels)
    frame, classes = matrix.frame(), int(matrix.tags.max()) + 1
    best = in_turns(
        documents_to_documents=silver("dawid-skene", labels),
        arrays=lambda: dawid_skene(matrix.tags, classes).posterior(matrix.tags),
        crowdkit=lambda: MODELS["DawidSkene"]().fit_predict(frame),
    )
    report(capsys, "dawid-skene", matrix, best)
    assert best["documents_to_documents"] < best["crowdkit"]


def test_hmm_against_skweak(labels, capsys):
    peer = Skweak(labels)

    def theirs():
        for doc in peer.run("HMM"):
            del doc.spans["silver"]

    best = in_turns(documents_to_documents=silver("hmm", labels), skweak=theirs)
    report(capsys, "hmm", peer.matrix, best)
    assert best["documents_to_documents"] * 10 < best["skweak"]
