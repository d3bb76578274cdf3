"""The HMM beside skweak's, on the same teachers and tokens; where skweak (bench extra) is not installed, skipped."""

import contextlib
import io
import warnings

import pytest
from simulated_teachers import PARTIAL, UNEQUAL, labelled_by, notes, strict_f1

from clinidistill.aggregation.hmm import HMM
from clinidistill.types import Span


def skweak_hmm(labels):
    """Silver documents of skweak's HMM; words are tokens."""
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        generative, tokens = pytest.importorskip("skweak.generative"), pytest.importorskip("spacy.tokens")
        vocabulary, docs, documents = pytest.importorskip("spacy").blank("en").vocab, [], []
        for opinions in labels:
            doc = tokens.Doc(vocabulary, opinions.document.text.split(" "))
            for name, said in opinions.annotations.items():
                doc.spans[name] = [doc.char_span(span.start, span.end, span.label) for span in said.spans]
            docs.append(doc)
            documents.append(opinions.document)
        names = sorted({span.label for document in documents for span in document.spans})
        docs = list(generative.HMM("silver", names).fit_and_aggregate(docs))
    found = [[Span(span.start_char, span.end_char, span.label_) for span in doc.spans["silver"]] for doc in docs]
    return [document.with_spans(spans) for document, spans in zip(documents, found, strict=True)]


@pytest.mark.parametrize("teachers", [UNEQUAL, PARTIAL], ids=["unequal", "partial"])
def test_the_hmm_is_at_least_as_good_as_skweaks(teachers):
    gold = notes(40)
    labels = labelled_by(gold, teachers)
    theirs = strict_f1(gold, skweak_hmm(labels))
    ours = strict_f1(gold, HMM().fit(labels).combine(labels))
    assert theirs > 0.3  # it was given what it needs
    assert ours >= theirs
