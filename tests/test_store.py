import json
import os
import random
import sqlite3
import subprocess
import sys
import threading
import uuid
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from clinidistill.errors import StoreError
from clinidistill.store import LabelStore, document_key
from clinidistill.teachers import Teacher
from clinidistill.types import Annotation, Document, Span

TEXT = "Started metformin 500 mg for diabetes."
NOTE = Document("n1", TEXT)
SPANS = (Span(8, 17, "medication", 0.5, "someone", "6809"), Span(29, 37, "disease", fragments=((29, 31), (35, 37))))


class Silent(Teacher):
    """Marks nothing; its options are what matters."""

    def __init__(self, label: str = "medication", **options: object):
        pass

    def label_document(self, document):
        return ()


def stored(store, annotation, document=NOTE, teacher=None):
    fingerprint = store.register(teacher or Silent())
    store.add(fingerprint, [(document, annotation)])
    return fingerprint


def change(place, *statements):
    """Do to a store what only others would."""
    with LabelStore(place) as store:
        for statement in statements:
            store.database.query(statement)


def test_an_annotation_comes_back_as_it_was(place):
    annotation = Annotation(
        "n1", "Silent", SPANS, frozenset({"disease", "medication"}), None, {"input_tokens": 12}, 0.25, 1.5
    )
    with LabelStore(place) as store:
        fingerprint = stored(store, annotation)
    with LabelStore(place) as store:
        back = store.get(fingerprint, [NOTE], "Silent")["n1"]
    owned = Span(29, 37, "disease", source="Silent", fragments=((29, 31), (35, 37)))
    assert back.spans == (SPANS[0], owned)
    assert back == Annotation(
        "n1", "Silent", back.spans, annotation.covers, usage=annotation.usage, cost_usd=0.25, seconds=1.5
    )


names = st.text(st.characters(exclude_categories=()), min_size=1, max_size=5)


@st.composite
def notes_and_spans(draw):
    text = draw(st.text(st.characters(exclude_categories=()), min_size=1, max_size=30))
    cuts = st.integers(0, len(text))
    pairs = draw(st.lists(st.tuples(cuts, cuts).filter(lambda p: p[0] != p[1]), max_size=4))
    label, code = draw(names), draw(st.none() | names)
    score = draw(st.floats(0, 1))
    return Document(draw(names), text), [Span(*sorted(pair), label, score, "model", code) for pair in pairs]


def pairs_up(text):
    """Whether the text holds a high and a low surrogate side by side, which JSON cannot tell from one character."""
    return text is not None and any("\ud800" <= a < "\udc00" <= b < "\ue000" for a, b in pairwise(text))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(notes_and_spans())
def test_any_text_id_label_and_code_survive_even_lone_surrogates(place, drawn):
    note, spans = drawn
    if any(pairs_up(text) for span in spans for text in (span.label, span.code)):
        return
    with LabelStore(place) as store:
        fingerprint = stored(store, Annotation(note.id, "t", tuple(spans)), note, Silent(uuid.uuid4().hex))
        assert store.get(fingerprint, [note], "t")[note.id].spans == tuple(sorted(spans))
        assert store.outcomes(fingerprint, [note]) == {note.id: None}


def test_numpy_scores_are_written_as_numbers(place):
    with LabelStore(place) as store:
        fingerprint = stored(store, Annotation("n1", "t", (Span(0, 7, "x", np.float32(0.5)),), cost_usd=np.float32(1)))
        back = store.get(fingerprint, [NOTE], "t")["n1"]
    assert (back.spans[0].score, back.cost_usd) == (0.5, 1.0)


def test_an_edited_note_or_another_id_is_another_document(place):
    with LabelStore(place) as store:
        fingerprint = stored(store, Annotation("n1", "t"))
        assert store.outcomes(fingerprint, [Document("n1", TEXT + " "), Document("n2", TEXT)]) == {}
        assert store.get(fingerprint, [Document("n1", TEXT + " ")]) == {}


def test_the_key_tells_apart_where_the_id_ends_and_the_text_begins():
    assert document_key(Document("a", "b:c")) != document_key(Document("ab", ":c"))
    assert document_key(Document("a\0b", "c")) != document_key(Document("a", "b\0c"))


def test_spans_of_the_teacher_carry_the_name_it_goes_by_now(place):
    with LabelStore(place) as store:
        fingerprint = stored(
            store, Annotation("n1", "old", (Span(0, 3, "x", source="old"), Span(1, 3, "x", source="z")))
        )
        back = store.get(fingerprint, [NOTE], "new")["n1"]
    assert (back.teacher, [span.source for span in back.spans]) == ("new", ["new", "z"])


def test_a_failure_gives_way_to_an_answer_and_an_answer_to_nothing(place):
    failure, answer = Annotation("n1", "t", error="Timeout"), Annotation("n1", "t", (SPANS[0],))
    with LabelStore(place) as store:
        fingerprint = stored(store, failure)
        assert store.outcomes(fingerprint, [NOTE]) == {"n1": "Timeout"}
        assert [(a.document_id, a.teacher, a.error) for a in store.failures()] == [("n1", "Silent", "Timeout")]
        stored(store, answer)
        assert store.failures() == []
        stored(store, failure)
        stored(store, Annotation("n1", "t"))
        assert store.get(fingerprint, [NOTE])["n1"].spans == answer.spans


def test_names_sort_by_code_point_whatever_the_databases_language(place):
    with LabelStore(place) as store:
        for name in ("é", "Zoe", "amy", "_"):
            stored(store, Annotation("n1", "t", error="Timeout"), teacher=Silent(name, name=name))
        assert [failure.teacher for failure in store.failures()] == ["Zoe", "_", "amy", "é"]


def test_a_nul_character_in_an_id_a_name_or_an_error_stands_in_no_ones_way(place):
    note = Document("a\0b", TEXT)
    with LabelStore(place) as store:
        fingerprint = stored(store, Annotation("a\0b", "t", error="told \0"), note, Silent(name="nul\0"))
        assert list(store.outcomes(fingerprint, [note])) == ["a\0b"]
        assert store.get(fingerprint, [note])["a\0b"].failed
        (failure,) = store.failures()
        assert (failure.document_id[0], failure.document_id[-1], failure.teacher[:3]) == ("a", "b", "nul")


def test_teachers_are_listed_with_options_counts_and_cost(place):
    teacher = Silent("disease", name="mine", model="m-1", examples=[1, 2])
    with LabelStore(place) as store:
        stored(store, Annotation("n1", "t", cost_usd=0.5), teacher=teacher)
        stored(store, Annotation("n2", "t", error="Timeout", cost_usd=0.25), Document("n2", "x"), teacher)
        (record,) = store.teachers()
    assert (record.fingerprint, record.name) == (teacher.fingerprint, "mine")
    assert (record.answered, record.failed, record.cost_usd) == (1, 1, 0.75)
    assert record.covers == {"disease"}
    assert record.options == {"label": "disease", "name": "mine", "model": "m-1", "examples": [1, 2]}
    assert record.class_name.endswith("Silent")


def test_neither_secrets_nor_note_text_are_in_the_file(tmp_path):
    teacher = Silent(
        api_key=SecretStr("sesame-one"),
        other_api_key="sesame-two",
        headers={"Authorization": "sesame-three", "X-Api-Key": "sesame-four"},
        base_url="https://user:sesame-five@host.example/v1",
        secrets=[SecretStr("sesame-six")],
        guideline="sesame-seven " * 100,
        example=Document("e", "sesame-eight"),
    )
    note = Document("n1", "zanzibarium quillfeather", meta={"who": "zanzibarium"})
    with LabelStore(tmp_path / "s.sqlite") as store:
        stored(store, Annotation("n1", "t", (Span(0, 11, "x"),)), note, teacher)
        during = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    after = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"base_url" in during
    assert b"host.example" in after
    for text in (b"sesame", b"zanzibarium", b"quillfeather"):
        assert text not in during
        assert text not in after


def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path):
    text, other, blank = tmp_path / "notes.txt", tmp_path / "other.sqlite", tmp_path / "blank"
    text.write_text("A note, not a database. " * 50)
    connection = sqlite3.connect(other)
    connection.execute("CREATE TABLE annotation (x)")
    connection.close()
    for path in (text, other):
        before = path.read_bytes()
        with pytest.raises(StoreError, match=rf"{path.name}.*(name another file)"):
            LabelStore(path)
        assert path.read_bytes() == before
    blank.touch()
    LabelStore(blank).close()


@pytest.mark.parametrize("place", ["", "absent/s.sqlite", "nul\0byte"])
def test_a_place_that_cannot_be_opened_names_it_and_the_cure(tmp_path, place):
    with pytest.raises(StoreError, match="check that its folder exists"):
        LabelStore(tmp_path / place)


def test_a_store_of_a_newer_version_asks_for_an_upgrade(place):
    LabelStore(place).close()
    change(place, "PRAGMA user_version = 9" if isinstance(place, Path) else "UPDATE label_store SET version = 9")
    with pytest.raises(StoreError, match="version 9.*upgrade"):
        LabelStore(place)


def test_a_store_without_its_tables_is_refused(place):
    LabelStore(place).close()
    change(place, "DROP TABLE annotation")
    with pytest.raises(StoreError, match="damaged"):
        LabelStore(place)


def test_a_closed_store_and_an_unregistered_teacher_say_so(place):
    store = LabelStore(place)
    with pytest.raises(StoreError, match="register the teacher"):
        store.add("nobody", [(NOTE, Annotation("n1", "t"))])
    store.close()
    store.close()
    with pytest.raises(StoreError, match="open it again"):
        store.teachers()


SPAN = '{"start": 0, "end": 3, "label": "x"%s}'
HOSTILE = [
    ("spans", "not json"),
    ("spans", "{}"),
    ("spans", '""'),
    ("spans", "null"),
    ("spans", "[1]"),
    ("spans", "[[]]"),
    ("spans", "[{}]"),
    ("spans", "[" * 100_000),
    ("spans", b"\xff\xfe"),
    ("spans", '[{"start": -1, "end": 3, "label": "x"}]'),
    ("spans", '[{"start": 0, "end": 39, "label": "x"}]'),
    ("spans", '[{"start": 0, "end": 1e999, "label": "x"}]'),
    ("spans", '[{"start": 0, "end": %s, "label": "x"}]' % ("9" * 5000)),
    ("spans", '[{"start": true, "end": 2, "label": "x"}]'),
    ("spans", "[" + SPAN % ', "score": NaN' + "]"),
    ("spans", "[" + SPAN % ', "fragments": 3' + "]"),
    ("spans", "[" + SPAN % ', "evil": 3' + "]"),
    ("covers", "5"),
    ("covers", "[1]"),
    ("covers", '"medication"'),
    ("error", b"bytes"),
    ("usage", "[]"),
    ("usage", "{"),
    ("cost_usd", "much"),
    ("seconds", b"long"),
]


@pytest.mark.parametrize(("column", "value"), HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_is_a_store_error_naming_the_place(place, column, value):
    with LabelStore(place) as store:
        fingerprint = stored(store, Annotation("n1", "t", (SPANS[0],)))
    if not isinstance(place, Path) and (isinstance(value, bytes) or column in {"cost_usd", "seconds"}):
        pytest.skip("PostgreSQL holds no such value")
    with LabelStore(place) as store:
        store.database.query(f"UPDATE annotation SET {column} = ?", (value,))
    with (
        LabelStore(place) as store,
        pytest.raises(StoreError, match=r"(s\.sqlite|postgresql://.*): .*damaged"),
    ):
        store.get(fingerprint, [NOTE])


@pytest.mark.parametrize("column", ["name", "options", "covers", "created", "class"])
def test_a_hostile_teacher_row_is_a_store_error(tmp_path, column):
    path = tmp_path / "s.sqlite"
    with LabelStore(path) as store:
        stored(store, Annotation("n1", "t", error="Timeout"))
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE teacher SET {column} = CAST(x'ff' AS TEXT)")
    connection.commit()
    connection.close()
    with LabelStore(path) as store, pytest.raises(StoreError, match="damaged"):
        store.teachers()


def test_flipped_bytes_anywhere_give_a_store_error_or_valid_annotations(tmp_path):
    path, damaged = tmp_path / "s.sqlite", tmp_path / "d.sqlite"
    notes = [Document(f"n{n}", TEXT) for n in range(40)]
    with LabelStore(path) as store:
        fingerprint = store.register(Silent())
        store.add(fingerprint, [(note, Annotation(note.id, "t", SPANS, frozenset({"disease"}))) for note in notes])
    whole, rng, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 20, 400))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        damaged.write_bytes(data)
        try:
            with LabelStore(damaged) as store:
                store.teachers(), store.failures(), store.outcomes(fingerprint, notes)
                for annotation in store.get(fingerprint, notes).values():
                    assert all(span.end <= len(TEXT) for span in annotation.spans)
        except StoreError:
            refused += 1
        for side in tmp_path.glob("d.sqlite-*"):
            side.unlink()
    assert refused > 20


def test_a_lookup_uses_the_index(tmp_path):
    with LabelStore(":memory:") as store:
        from clinidistill import store as module

        plan = " ".join(row[3] for row in store.database.query("EXPLAIN QUERY PLAN " + module._GET, ("f", "[]")))
    assert "SEARCH annotation USING PRIMARY KEY (teacher=? AND key=?)" in plan


def test_threads_share_a_store(place):
    store, faults = LabelStore(place), []
    fingerprint = store.register(Silent())

    def work(n):
        try:
            for k in range(40):
                note = Document(f"{n}-{k}", "text")
                store.add(fingerprint, [(note, Annotation(note.id, "t"))])
                assert store.outcomes(fingerprint, [note]) == {note.id: None}
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert store.teachers()[0].answered == 240


WRITER = """
import sys
from clinidistill.store import LabelStore
from clinidistill.teachers import Teacher
from clinidistill.types import Annotation, Document
class Silent(Teacher):
    def __init__(self, who): ...
    def label_document(self, document): return ()
sys.stdin.readline()
with LabelStore(sys.argv[1]) as store:
    fingerprint = store.register(Silent(sys.argv[2]))
    for n in range(100):
        store.add(fingerprint, [(Document(str(n), "text"), Annotation(str(n), "t"))])
"""


def test_processes_share_a_store_that_none_of_them_made(place):
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(place), str(n)], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for n in range(3)
    ]
    for worker in workers:  # let go together
        worker.stdin.write(b"\n")
        worker.stdin.flush()
    for worker in workers:
        _, stderr = worker.communicate(timeout=60)
        assert worker.returncode == 0, stderr.decode()
    with LabelStore(place) as store:
        assert [teacher.answered for teacher in store.teachers()] == [100, 100, 100]


def test_a_process_that_finds_the_store_made_meanwhile_uses_it(place, monkeypatch):
    first = LabelStore(place)
    fingerprint = stored(first, Annotation("n1", "t"))
    look = "_is_new" if isinstance(place, Path) else "_version"
    cls, late = type(first.database), [True if isinstance(place, Path) else 0]  # what it finds at its first look
    found = getattr(cls, look)
    monkeypatch.setattr(cls, look, lambda self: late.pop() if late else found(self))
    with LabelStore(place) as second:
        assert not late
        assert second.outcomes(fingerprint, [NOTE]) == {"n1": None}
    first.close()


def test_a_writer_that_holds_the_store_too_long_is_reported(place):
    with LabelStore(place) as store, LabelStore(place) as holder:
        store.database.query("PRAGMA busy_timeout = 10" if isinstance(place, Path) else "SET lock_timeout = 10")
        with holder.database.transaction(), pytest.raises(StoreError, match="another process is writing"):
            store.register(Silent())
        store.register(Silent())


def test_the_file_says_what_it_is(tmp_path):
    path = tmp_path / "s.sqlite"
    with LabelStore(path) as store:
        stored(store, Annotation("n1", "t", (SPANS[0],)))
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"clds"),)
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        (spans,) = connection.execute("SELECT spans FROM annotation").fetchone()
        connection.close()
    assert json.loads(spans) == [SPANS[0].to_dict()]


def test_a_store_of_the_first_version_is_brought_up_to_date(place):
    with LabelStore(place) as store:
        fingerprint = stored(store, Annotation("n1", "t", (SPANS[0],)))
    drops = [f"DROP TABLE {table}" for table in ("answer", "batch", "spending", "asker", "turn")]
    mark = "PRAGMA user_version = 1" if isinstance(place, Path) else "UPDATE label_store SET version = 1"
    change(place, *drops, mark)
    with LabelStore(place) as store:
        assert store.get(fingerprint, [NOTE])["n1"].spans[0].key == SPANS[0].key
        assert store.database.query("SELECT count(*) FROM answer") == [(0,)]


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_permissions(tmp_path):
    path = tmp_path / "s.sqlite"
    LabelStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    LabelStore(path).close()
    assert path.stat().st_mode & 0o777 == 0o640
