import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

import clinidistill as cd
from clinidistill import labeling
from clinidistill.errors import ClinidistillError, ConfigError, DataError, LabelingStopped, StoreError
from clinidistill.labeling import label
from clinidistill.store import LabelStore
from clinidistill.teachers import Teacher
from clinidistill.types import Annotation, Document, Span

NOTES = [Document(f"n{n}", f"Note {n}: metformin, lisinopril.", [Span(0, 4, "gold")]) for n in range(10)]


class Regex(Teacher):
    """Marks what a pattern matches, and remembers what it was shown; fails on the ids in `fails`."""

    fails = frozenset()

    def __init__(self, pattern: str = "metformin", label: str = "medication", name: str | None = None):
        self.pattern, self.label, self.seen = re.compile(pattern), label, []

    def label_document(self, document):
        self.seen.append(document)
        if document.id in self.fails:
            raise TimeoutError("too slow: metformin")
        return [Span(m.start(), m.end(), self.label) for m in self.pattern.finditer(document.text)]

    @property
    def asked(self):
        return [document.id for document in self.seen]


class Whole(Teacher):
    """Overrides annotate with the function it is given afterwards."""

    def __init__(self, name: str = "whole"):
        self.answer = None

    def label_document(self, document):
        raise NotImplementedError

    def annotate(self, documents):
        return self.answer(documents)


def test_every_document_is_marked_by_every_teacher_in_order():
    labels = label(NOTES, {"a": Regex("metformin"), "b": Regex("lisinopril")})
    assert labels.teachers == ("a", "b")
    assert [opinions.document for opinions in labels] == NOTES
    for opinions in labels:
        mentions = [[opinions.document.mention(s) for s in a.spans] for a in opinions.annotations.values()]
        assert mentions == [["metformin"], ["lisinopril"]]
        assert [s.source for a in opinions.annotations.values() for s in a.spans] == ["a", "b"]


def test_teachers_never_see_the_gold_spans():
    teacher = Regex()
    label(NOTES, teacher)
    assert teacher.seen == [note.without_spans() for note in NOTES]


def test_a_second_run_asks_the_teacher_nothing(tmp_path):
    first, second = Regex(), Regex()
    one = label(NOTES, first, tmp_path / "s.sqlite")
    second.annotate = lambda _: pytest.fail("the teacher was woken")
    two = label(NOTES, second, str(tmp_path / "s.sqlite"))
    assert first.asked == [note.id for note in NOTES]
    assert [o.annotations["Regex"].spans for o in one] == [o.annotations["Regex"].spans for o in two]


def test_only_what_is_new_is_asked_whether_note_text_or_options(tmp_path):
    with LabelStore(tmp_path / "s.sqlite") as store:
        label(NOTES[:6], Regex(), store)
        more = Regex()
        label(NOTES, more, store)
        assert more.asked == ["n6", "n7", "n8", "n9"]
        edited = Regex()
        label([Document("n3", NOTES[3].text + "!"), *NOTES[4:]], edited, store)
        assert edited.asked == ["n3"]
        changed = Regex("lisinopril")
        label(NOTES, changed, store)
        assert len(changed.asked) == 10
        renamed = Regex(name="other")
        (opinions, *_) = label(NOTES, renamed, store)
        assert renamed.asked == []
        assert [(a.teacher, a.spans[0].source) for a in opinions.annotations.values()] == [("other", "other")]


def test_failures_are_recorded_listed_and_retried_only_on_request(caplog):
    teacher = Regex()
    teacher.fails = {"n2", "n5", "n7"}
    with LabelStore(":memory:") as store, caplog.at_level(logging.WARNING):
        labels = label(NOTES, teacher, store)
        assert [a.document_id for a in labels.failures()] == ["n2", "n5", "n7"]
        assert all(o.annotations["Regex"].covers == {"medication"} for o in labels)
        label(NOTES, teacher, store)
        assert len(teacher.asked) == 10
        first, again = caplog.messages
        assert "3 of 10" in first
        assert "Regex on 'n2': TimeoutError at label_document" in first
        assert "labels.failures()" in first
        assert again == first
        assert "metformin" not in caplog.text

        caplog.clear()
        teacher.fails = {"n5"}
        labels = label(NOTES, teacher, store, retry_failures=True)
        assert teacher.asked[10:] == ["n2", "n5", "n7"]
        assert [a.document_id for a in labels.failures()] == ["n5"]
        assert "1 of 10" in caplog.text
        assert [a.document_id for a in store.failures()] == ["n5"]


def test_the_warning_lists_at_most_five_failures(caplog):
    teacher = Regex()
    teacher.fails = {note.id for note in NOTES}
    label(NOTES, teacher)
    (message,) = caplog.messages
    assert message.count("TimeoutError") == 5
    assert message.endswith("; …")


def test_a_generator_is_read_once_and_a_dataset_again_for_each_teacher():
    labels = label((note for note in NOTES), [Regex("a"), Regex("b")])
    assert [len(list(labels)) for _ in range(2)] == [10, 10]

    class Counting(cd.Dataset):
        reads = 0

        def __iter__(self):
            self.reads += 1
            return iter(NOTES)

    dataset = Counting()
    assert label(dataset, [Regex("a"), Regex("b")]).documents is dataset
    assert dataset.reads == 3  # ids first, then each teacher


def test_documents_are_looked_up_and_sent_as_the_teacher_asks(monkeypatch):
    monkeypatch.setattr(labeling, "_CHUNK", 2)
    drawn = []

    class Lazy(cd.Dataset):
        def __iter__(self):
            for note in NOTES:
                drawn.append(note.id)
                yield note

    def answer(documents):
        drawn.clear()
        for n, document in enumerate(documents):
            assert len(drawn) <= n + 2
            yield Annotation(document.id, "whole")

    teacher = Whole()
    teacher.answer = answer
    assert len(list(label(Lazy(), teacher))) == 10


def test_ids_and_texts_of_any_characters_are_labelled_and_kept(tmp_path):
    texts = ["metformin \ud800 lone", "💊 metformin\0", "e\u0301 metformin", "\r\nmetformin\u2028", "\udfff"]
    notes = [Document(text[:3] + str(n), text) for n, text in enumerate(texts)]
    label(notes, Regex(), tmp_path / "s.sqlite")
    again = Regex()
    labels = label(notes, again, tmp_path / "s.sqlite")
    assert again.asked == []
    found = [[o.document.mention(s) for s in o.annotations["Regex"].spans] for o in labels]
    assert found == [["metformin"]] * 4 + [[]]


def test_two_documents_of_one_id_are_refused_before_anything_is_asked():
    teacher = Regex()
    with pytest.raises(DataError, match="two documents have the id 'n1'"):
        label([*NOTES, Document("n1", "other")], teacher)
    with pytest.raises(DataError, match="a Document is expected, not str"):
        label(["Note."], teacher)
    assert teacher.asked == []


def test_teachers_of_one_name_are_told_apart_and_twins_refused():
    a, b, c = Regex("a"), Regex("b"), Regex("c", name="c")
    assert label(NOTES, [a, b, c]).teachers == (f"Regex-{a.fingerprint[:6]}", f"Regex-{b.fingerprint[:6]}", "c")
    with pytest.raises(ConfigError, match="'x' and 'y' are the same"):
        label(NOTES, {"x": Regex("a"), "y": Regex("a", name="named")})
    with pytest.raises(ConfigError, match="clash"):
        label(NOTES, [a, b, Regex("c", name=f"Regex-{a.fingerprint[:6]}")])
    with pytest.raises(ConfigError, match="at least one"):
        label(NOTES, [])
    with pytest.raises(ConfigError, match="load_teacher"):
        label(NOTES, ["rxnorm"])


def chatty(documents):
    for document in documents:
        yield Annotation(document.id, "whole")
        yield Annotation(document.id, "whole")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda documents: [Annotation("n99", "w") for d in documents], "answered 'n99', which it was not asked"),
        (lambda documents: [Annotation(d.id, "w") for d in list(documents)[:4]], "stopped before document 'n4'"),
        (lambda documents: [Annotation(next(iter(documents)).id, "w")], "stopped before document 'n1'"),
        (lambda documents: [], "stopped before document 'n0'"),
        (chatty, "answered 'n0', which it was not asked, or asked once"),
        (lambda documents: (d for d in documents), "must yield annotations, not Document"),
    ],
)
def test_answers_missing_or_beyond_are_refused(answer, message):
    teacher = Whole()
    teacher.answer = answer
    with pytest.raises(ClinidistillError, match=message):
        label(NOTES, teacher)


def test_answers_may_come_in_any_order():
    teacher = Whole()
    teacher.answer = lambda documents: [
        Annotation(d.id, "w", [Span(0, int(d.id[1:]) + 1, "x")]) for d in reversed(list(documents))
    ]
    labels = label(NOTES, teacher)
    assert [o.annotations[teacher.name].spans[0].end for o in labels] == list(range(1, 11))


def test_a_teacher_that_stops_early_leaves_the_rest_for_the_next_run(tmp_path, caplog):
    class Poor(Whole):
        limit = 4

        def annotate(self, documents):
            for number, document in enumerate(documents):
                if number == self.limit:
                    raise LabelingStopped("the budget is spent")
                yield Annotation(document.id, "w")

    labels = label(NOTES, [Poor(), Regex()], tmp_path / "s.sqlite")
    assert [len(opinions.annotations) for opinions in labels] == [2] * 4 + [1] * 6
    assert labels.failures() == []
    assert "ended early, after 4 documents: the budget is spent" in caplog.text
    assert [len(o.annotations) for o in label(NOTES, Poor(), tmp_path / "s.sqlite")] == [1] * 8 + [0] * 2


@pytest.mark.parametrize(
    ("spans", "covers", "message"),
    [([Span(0, 999, "x")], None, "reaches outside"), ([Span(0, 1, "x")], {"y"}, "covers leaves out")],
)
def test_spans_that_cannot_stand_are_a_failure_on_that_document(spans, covers, message, caplog):
    teacher = Whole()
    teacher.answer = lambda documents: (Annotation(d.id, "w", spans if d.id == "n3" else [], covers) for d in documents)
    labels = label(NOTES, teacher)
    (failure,) = labels.failures()
    assert (failure.document_id, failure.spans) == ("n3", ())
    assert message in failure.error
    assert "1 of 10" in caplog.text


@pytest.mark.parametrize(
    "fault", [ValueError("note text"), KeyboardInterrupt(), ConfigError("no such key"), SystemExit()]
)
def test_what_was_answered_before_a_teacher_dies_is_kept(tmp_path, fault):
    closed = []

    def answer(documents):
        try:
            for document in documents:
                if document.id == "n6":
                    raise fault
                yield Annotation(document.id, "w")
        finally:
            closed.append(True)

    teacher = Whole()
    teacher.answer = answer
    path = tmp_path / "s.sqlite"
    with pytest.raises((ClinidistillError, KeyboardInterrupt, SystemExit)) as caught:
        label(NOTES, teacher, path)
    if type(fault) is ValueError:
        assert str(caught.value).startswith("teacher 'whole' died after 6 documents: ValueError at answer, line")
        assert "note text" not in str(caught.value)
    else:
        assert caught.value is fault
    assert caught.value.__notes__ == [f"answers so far are kept in {path}; call label again to go on"]
    assert closed
    seen = []
    teacher.answer = lambda documents: (seen.append(d.id) or Annotation(d.id, "w") for d in documents)
    assert len(list(label(NOTES, teacher, path))) == 10
    assert seen == ["n6", "n7", "n8", "n9"]


def test_a_fault_of_the_data_is_not_blamed_on_the_teacher():
    class Broken(cd.Dataset):
        reads = 0

        def __iter__(self):
            self.reads += 1
            yield NOTES[0]
            if self.reads > 1:
                raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        label(Broken(), Regex())

    teacher = Whole()

    def swallow(documents):
        try:
            for document in documents:
                yield Annotation(document.id, "w")
        except OSError:
            pass

    teacher.answer = swallow
    with pytest.raises(OSError, match="disk gone"):
        label(Broken(), teacher)


def test_notes_go_to_a_remote_teacher_only_after_the_caller_allowed_it():
    class Remote(Regex):
        remote = True

    teacher = Remote()
    with pytest.raises(ConfigError, match="allow_remote=True"):
        label(NOTES, teacher)
    with pytest.raises(ConfigError, match="allow_remote=True"):
        cd.evaluate(teacher, NOTES)
    assert teacher.seen == []
    label(NOTES, teacher, allow_remote=True)
    assert len(teacher.seen) == len(NOTES)


def test_remote_and_slow_answers_are_written_one_by_one_and_cheap_ones_in_groups(monkeypatch):
    class Remote(Regex):
        remote = True

    notes = [Document(str(n), "metformin") for n in range(200)]
    for cls, seconds, groups in ((Remote, 60, [1] * 200), (Regex, 60, [64, 64, 64, 8]), (Regex, 0, [1] * 200)):
        monkeypatch.setattr(labeling, "_SECONDS", seconds)
        with LabelStore(":memory:") as store:
            add, sizes = store.add, []
            store.add = lambda fingerprint, rows, replace_all, add=add, sizes=sizes: (
                sizes.append(len(rows)),
                add(fingerprint, rows),
            )
            label(notes, cls(), store, allow_remote=True)
        assert sizes == groups


def test_the_store_of_a_finished_run_can_be_read_while_the_next_teacher_works(tmp_path):
    path, counts = tmp_path / "s.sqlite", []

    class Peeking(Regex):
        def label_document(self, document):
            with LabelStore(path) as other:
                counts.append([t.answered for t in other.teachers()])
            return ()

    label(NOTES[:2], [Regex(), Peeking("x")], path)
    assert counts == [[2, 0], [2, 0]]


def test_an_in_memory_store_lives_as_long_as_its_labels():
    views = [label(NOTES, Regex(pattern)) for pattern in ("metformin", "lisinopril")]
    assert [[len(o.annotations) for o in labels] for labels in views] == [[1] * 10] * 2


def test_a_closed_store_is_a_store_error():
    with LabelStore(":memory:") as store:
        labels = label(NOTES, Regex(), store)
    with pytest.raises(StoreError, match="open it again"):
        list(labels)


def test_progress_shows_teacher_counts_and_failures_only_when_wanted(capsys):
    teacher = Regex()
    teacher.fails = {"n1"}
    with LabelStore(":memory:") as store:
        label(NOTES[:4], Regex(), store)
        assert capsys.readouterr().err == ""
        label(NOTES, {"drugs [1]": teacher}, store, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "drugs [1]" in shown.err
    assert "6/6" in shown.err


JOB = """
import os, sys, time
from clinidistill.labeling import label
from clinidistill.teachers import Teacher
from clinidistill.types import Document, Span

class Slow(Teacher):
    def __init__(self, who="a"): ...
    def label_document(self, document):
        time.sleep(0.003)
        with open(sys.argv[2], "a") as calls:
            calls.write(document.id + "\\n")
        return [Span(0, 4, "x")]

if __name__ == "__main__":
    notes = [Document(f"n{n}", f"Note {n}") for n in range(int(sys.argv[3]))]
    labels = label(notes, Slow(sys.argv[4]), sys.argv[1])
    print(sum(len(a.spans) for o in labels for a in o.annotations.values()))
"""


def start(tmp_path, place, calls, total, who="a"):
    script = tmp_path / "job.py"
    script.write_text(JOB)
    arguments = [sys.executable, script, str(place), tmp_path / calls, str(total), who]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return int(out)


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
def test_after_kill_9_a_run_goes_on_without_asking_again(tmp_path, place):
    first = start(tmp_path, place, "first", 400)
    calls = tmp_path / "first"
    deadline = time.monotonic() + 30
    while not calls.exists() or len(calls.read_text().splitlines()) < 220:
        assert first.poll() is None, first.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert first.returncode == -signal.SIGKILL

    asked = calls.read_text().splitlines()
    notes = [Document(f"n{n}", f"Note {n}") for n in range(400)]
    with LabelStore(place) as store:
        (teacher,) = store.teachers()
        done = set(store.get(teacher.fingerprint, notes))
    assert 220 <= len(asked) < 400
    assert len(done) >= len(asked) - 65  # the last group, and the one being answered

    assert finish(start(tmp_path, place, "second", 400)) == 400
    again = (tmp_path / "second").read_text().splitlines()
    assert not done & set(again)
    assert done | set(again) == {note.id for note in notes}
    assert max(Counter(again).values()) == 1


def test_processes_label_into_one_store_at_the_same_time(tmp_path, place):
    workers = [start(tmp_path, place, f"calls-{who}", 120, who) for who in "ab"]
    assert [finish(worker) for worker in workers] == [120, 120]
    with LabelStore(place) as store:
        assert [(t.options, t.answered) for t in sorted(store.teachers(), key=lambda t: json.dumps(t.options))] == [
            ({"who": "a"}, 120),
            ({"who": "b"}, 120),
        ]
