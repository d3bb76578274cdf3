import os
import signal

import pytest

import clinidistill as cd
from clinidistill.errors import ClinidistillError, OptionError
from clinidistill.matching import Automaton, Matcher, Term
from clinidistill.matching import parallel as module
from clinidistill.matching.parallel import find_in_parallel

DOCUMENTS = [cd.Document(str(number), f"fever {'and cough ' * (number % 3)}no {number}") for number in range(700)]
MATCHER = Matcher(Automaton([Term("fever", "1"), Term("cough", "2")]))


class Fragile(Matcher):
    """Fails on one text, and takes its process with it on another."""

    def find(self, text):
        if text.endswith("no 300"):
            raise ValueError(text)
        if text == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().find(text)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_several_processes_find_what_one_finds_in_the_same_order(start, monkeypatch):
    monkeypatch.setattr(module, "_CONTEXT", module.multiprocessing.get_context(start))
    found = list(find_in_parallel(MATCHER, iter(DOCUMENTS), 2))
    assert [document for document, *_ in found] == DOCUMENTS
    assert [matches for _, matches, _ in found] == [MATCHER.find(document.text) for document in DOCUMENTS]


def test_a_document_that_fails_is_told_without_its_text_and_the_others_go_on():
    found = list(find_in_parallel(Fragile(MATCHER.automaton), DOCUMENTS, 2))
    assert [type(matches) for _, matches, _ in found].count(str) == 1
    assert found[300][1].startswith("ValueError at find")
    assert "fever" not in found[300][1]


def test_a_process_that_dies_is_an_error_that_says_what_may_help():
    with pytest.raises(ClinidistillError, match="workers="):
        list(find_in_parallel(Fragile(MATCHER.automaton), [cd.Document("k", "kill")], 2))


def test_documents_are_read_only_a_few_batches_ahead_and_a_reader_may_leave_early():
    read = []

    def documents():
        for number in range(10**9):
            read.append(number)
            yield cd.Document(str(number), "fever")

    results = find_in_parallel(MATCHER, documents(), 2)
    assert next(results)[0].id == "0"
    results.close()
    assert len(read) <= 2 * module._AHEAD * module._BATCH


def test_a_teacher_with_workers_annotates_as_one_without():
    one, two = (cd.load_teacher("terminology", terminology=["fever", "cough"], label="x", workers=n) for n in (1, 2))
    assert one.fingerprint == two.fingerprint
    pairs = zip(one.annotate(DOCUMENTS), two.annotate(DOCUMENTS), strict=True)
    assert all(
        (a.document_id, a.spans, a.covers, a.teacher) == (b.document_id, b.spans, b.covers, b.teacher) for a, b in pairs
    )
    with pytest.raises(OptionError, match="workers=0"):
        cd.load_teacher("terminology", terminology=["fever"], label="x", workers=0)
