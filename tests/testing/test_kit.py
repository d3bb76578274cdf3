"""The tools of the conformance kit: what is refused, heard, said, and read."""

import logging
import pickle
import socket
import threading
import warnings
import zipfile

import faulty_teachers as faulty
import numpy as np
import pytest
from pydantic import SecretStr

import clinidistill as cd
import clinidistill.testing
from clinidistill.errors import ClinidistillError, ConfigError
from clinidistill.testing import ConformanceError, check_teacher
from clinidistill.testing.damage import damaged
from clinidistill.testing.kinds import case_of
from clinidistill.testing.listening import listening
from clinidistill.testing.network import no_network
from clinidistill.testing.notes import quotes
from clinidistill.testing.options import said, variants
from clinidistill.testing.pickles import pickled


def test_connections_to_other_machines_are_refused_in_all_threads_and_told():
    def connect():
        with pytest.raises(OSError, match="lets nothing leave"):
            socket.create_connection(("192.0.2.1", 80))

    with no_network() as attempts:
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        with pytest.raises(OSError, match="lets nothing leave"):
            socket.getaddrinfo("example.org", 443)
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            pytest.raises(OSError, match="lets nothing leave"),
        ):
            udp.sendto(b"note", ("198.51.100.7", 53))
    assert attempts == ["192.0.2.1", "192.0.2.1", "example.org", "198.51.100.7"][-len(attempts) :]
    assert {"192.0.2.1", "example.org", "198.51.100.7"} == set(attempts)


def test_this_machine_can_be_reached_and_afterwards_every_other():
    with socket.create_server(("127.0.0.1", 0)) as server, no_network() as attempts:
        socket.create_connection(server.getsockname()).close()
        socket.getaddrinfo("localhost", 80)
    assert attempts == []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect(("192.0.2.1", 53))  # sends nothing


def test_what_is_logged_warned_and_printed_is_heard_and_goes_no_further(capsys):
    log = logging.getLogger("some.plugin")
    before = logging.getLogger().level
    with listening() as heard:
        log.debug("quietly: %s", "one")
        warnings.warn("two", stacklevel=1)
        print("three")
    assert [text for text in heard if text in {"quietly: one", "two", "three"}] == ["quietly: one", "two", "three"]
    assert logging.getLogger().level == before
    assert capsys.readouterr().out == ""


def test_three_words_in_a_row_are_a_quotation():
    texts = ["Started metformin for diabetes."]
    assert quotes("cannot read 'metformin for diabetes.'", texts)
    assert not quotes("metformin is a medication for people", texts)
    assert not quotes("line 3: a span has no label", texts)


KEY = SecretStr("k")


class Fussy(cd.Teacher):
    def __init__(self, path: str = "p", most: int = 3, fast: bool = True, key: SecretStr = KEY, words=()):
        self.words = words

    def label_document(self, document):
        return []


class Listing(cd.Teacher):
    def __init__(self, words: list[str], labels: dict[str, int] | None = None): ...

    def label_document(self, document):
        return []


def test_options_are_said_as_a_recipe_says_them_and_changed_one_by_one():
    teacher = Fussy(words=frozenset({"b", "a"}))
    assert said(teacher).plain == {"path": "p", "most": 3, "fast": True, "key": "k", "words": ["a", "b"]}
    assert said(Fussy(words=len)).objects == {"words": len}
    assert list(variants(teacher)) == [("path", "px"), ("most", 4), ("fast", False)]
    assert ("words", ["a", "bx"]) in list(variants(Listing(["a", "b"])))
    assert ("labels", {"a": 1}) in list(variants(Listing([], {"a": 1, "b": 2})))


def test_pickles_are_known_by_their_names_and_by_what_is_in_them(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"")
    (tmp_path / "settings").write_bytes(pickle.dumps({"a": 1}))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "packed", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert all(map(pickled, tmp_path.iterdir()))
    np.save(tmp_path / "numbers.npy", np.zeros(3))
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "weights.bin").write_bytes(b"\x80\x03 no pickle")
    with zipfile.ZipFile(tmp_path / "plain.zip", "w") as archive:
        archive.writestr("a.json", "{}")
    assert not any(pickled(tmp_path / name) for name in ("numbers.npy", "settings.json", "weights.bin", "plain.zip"))


def test_damage_is_mended_in_the_end(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    seen = {(tmp_path / "a.txt").read_bytes() for _ in damaged(tmp_path)}
    assert b"" in seen
    assert len(seen) > 5
    assert (tmp_path / "a.txt").read_text() == "one\ntwo\n"


class Far(faulty.Drugs):
    """Remote, and a good one."""

    remote = True

    def label_document(self, document):
        raise AssertionError("a note left this machine")


def test_a_remote_teacher_is_asked_about_no_note():
    reasons = check_teacher(Far(), faulty.NOTES)
    assert "it is remote" in reasons["teacher/offsets"]
    assert not {"teacher/remote", "component/recipe", "component/fingerprint-stable"} & reasons.keys()


def test_one_that_is_not_deterministic_says_so_and_is_let_off():
    class Declared(faulty.Dice):
        deterministic = False

    reasons = check_teacher(Declared(), faulty.NOTES)
    assert reasons["teacher/determinism"] == "it declares that it is not deterministic"


def test_a_teacher_that_finds_nothing_cannot_be_checked_for_offsets_and_that_is_told():
    reasons = check_teacher(faulty.Drugs(["zyzzyva"]), faulty.NOTES)
    assert "give documents=" in reasons["teacher/offsets"]


def test_the_error_is_one_of_ours_and_an_assertion_and_tells_rule_component_and_cure():
    with pytest.raises(AssertionError) as caught:
        check_teacher(faulty.Bytes(), faulty.NOTES)
    error = caught.value
    assert isinstance(error, ClinidistillError)
    assert isinstance(error, ConformanceError)
    assert (error.rule, error.component) == ("teacher/offsets", "Bytes")
    assert "bytes of UTF-8" in error.fault
    assert "count characters of document.text" in str(error)


def test_what_a_component_raised_is_the_cause_and_not_quoted():
    class Raising(faulty.Drugs):
        def annotate(self, documents):
            raise RuntimeError("patient Smith")
            yield

    with pytest.raises(ConformanceError) as caught:
        check_teacher(Raising(), faulty.NOTES)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "Smith" not in str(caught.value)


def test_what_is_no_component_has_no_rules():
    with pytest.raises(ConfigError, match="is no component"):
        case_of(object())  # type: ignore[arg-type]


def test_what_is_checked_has_to_be_an_instance_of_its_kind():
    with pytest.raises(ConfigError, match="an instance of Teacher, which the class Drugs is not"):
        check_teacher(faulty.Drugs)
    with pytest.raises(ConfigError, match="an instance of Student, which Drugs is not"):
        clinidistill.testing.check_student(faulty.Drugs())
    with pytest.raises(ConfigError, match="an instance of Dataset, which list is not"):
        clinidistill.testing.check_dataset([])


@pytest.mark.parametrize("notes", [[], "On metformin.", [cd.Document("1", "a"), cd.Document("1", "b")]])
def test_samples_that_cannot_be_told_apart_are_no_fault_of_the_teacher(notes):
    with pytest.raises(ConfigError, match="a list of notes, one at least"):
        check_teacher(faulty.Drugs(), notes)


@pytest.mark.parametrize("name", clinidistill.testing.__all__)
def test_every_public_name_resolves(name):
    assert getattr(clinidistill.testing, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'check_nothing'"):
        clinidistill.testing.check_nothing  # noqa: B018
