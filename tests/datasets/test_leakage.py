import random
from collections import Counter
from itertools import product

import pytest

import clinidistill as cd
from clinidistill.errors import ConfigError
from clinidistill.settings import Settings

WORDS = [f"word{number}" for number in range(5_000)]


def text(seed, size=40):
    return " ".join(random.Random(seed).choices(WORDS, k=size))


def documents(**texts):
    return [cd.Document(key, each) for key, each in texts.items()]


def pairs(leakage):
    return [(leak.part, leak.id, leak.other_part, leak.other_id, leak.exact) for leak in leakage.leaks]


def real(name):
    path = Settings().data / name
    if not path.exists():
        pytest.skip(f"{path} is absent; set CLINIDISTILL_DATA to the folder of corpora")
    return path


def test_copies_are_exact_whatever_the_case_and_what_stands_between_the_words():
    train = documents(a=text(1), b="No complaints.", c=text(3))
    test = documents(x=text(1).upper().replace(" ", ",\n"), y="no complaints", z=text(4))
    leakage = cd.check_leakage(train=train, test=test)
    assert pairs(leakage) == [("train", "a", "test", "x", True), ("train", "b", "test", "y", True)]
    assert leakage


def test_an_edited_copy_and_a_sentence_of_a_note_are_near_and_other_texts_are_not():
    words = text(1).split()
    edited = [*words[:20], "another", *words[21:]]
    test = documents(edited=" ".join(edited), sentence=" ".join(words[5:25]), other=text(2), half=text(3, 20))
    test.append(cd.Document("mixed", " ".join(words[:20]) + " " + text(4, 20)))
    leakage = cd.check_leakage(train=documents(a=" ".join(words)), test=test)
    assert {leak.other_id: round(leak.similarity, 3) for leak in leakage.leaks} == {
        "sentence": 1.0,
        "edited": round(33 / 37, 3),
    }
    nearer = cd.check_leakage(train=documents(a=" ".join(words)), test=test, threshold=0.4)
    assert {leak.other_id for leak in nearer.leaks} == {"sentence", "edited", "mixed"}


def test_similarities_are_those_that_comparing_all_pairs_gives():
    rng = random.Random(0)
    pool = [text(seed, rng.randrange(5, 80)) for seed in range(30)]

    def made(prefix, count):
        for number in range(count):
            parts = [rng.choice(pool).split() for _ in range(rng.randrange(1, 4))]
            words = [word for part in parts for word in part[rng.randrange(5) :] if rng.random() > 0.01]
            yield cd.Document(f"{prefix}{number}", " ".join(words))

    parts = {"train": list(made("a", 300)), "dev": list(made("b", 20)), "test": list(made("c", 20))}

    def passages(document):
        words = document.text.split()
        return {tuple(words[n : n + 4]) for n in range(len(words) - 3)}

    counts = {name: Counter(p for document in part for p in passages(document)) for name, part in parts.items()}
    expected = {}
    for one, other in (("train", "dev"), ("train", "test"), ("dev", "test")):
        common = {passage for passage, number in counts[other].items() if number > 50}
        for a, b in product(parts[one], parts[other]):
            first, second = passages(a) - common, passages(b) - common
            shared = len(first & second)
            if a.text != b.text and shared >= 8 and shared / min(len(first), len(second)) >= 0.7:
                expected[a.id, b.id] = shared / min(len(first), len(second))
    found = cd.check_leakage(**parts)
    assert {(leak.id, leak.other_id): leak.similarity for leak in found.leaks if not leak.exact} == expected
    assert len(expected) > 300


def test_boilerplate_is_no_leak_and_does_not_hide_one():
    boilerplate = text(0, 60)
    train = [cd.Document(f"a{number}", f"{boilerplate} {text(number, 30)}") for number in range(1, 80)]
    test = [cd.Document(f"b{number}", f"{boilerplate} {text(1000 + number, 30)}") for number in range(1, 80)]
    test.append(cd.Document("copy", f"{boilerplate} {text(7, 30)} indeed"))
    leakage = cd.check_leakage(train=train, test=test)
    assert pairs(leakage) == [("train", "a7", "test", "copy", False)]


def test_every_two_parts_are_compared_and_the_report_says_which_in_words_without_text(caplog):
    train, dev, test = documents(a=text(1), b=text(2)), documents(c=text(2)), documents(d=text(1) + " more", e=text(5))
    leakage = cd.check_leakage(train=iter(train), dev=iter(dev), test=iter(test))
    assert leakage.sizes == {"train": 2, "dev": 1, "test": 2}
    assert [leak.other_id for leak in leakage.between("train", "dev")] == ["c"]
    assert leakage.between("dev", "test") == ()
    assert str(leakage).splitlines() == [
        "1 of 1 documents of dev stand in train (2): 1 word for word, 0 nearly",
        "    train 'b' = dev 'c'",
        "1 of 2 documents of test stand in train (2): 0 word for word, 1 nearly",
        "    train 'a' ~ test 'd' (1.00)",
        "no document of test (2) stands in dev (1)",
    ]
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "train 'b' = dev 'c'" in record.getMessage()
    assert not {"word1", *train[0].text.split()} & set(f"{record.getMessage()} {leakage} {leakage!r}".split())
    assert leakage.to_dict()["leaks"][0] == {
        "part": "train", "id": "b", "other_part": "dev", "other_id": "c", "similarity": 1.0, "exact": True,
    }  # fmt: skip


def test_nothing_in_common_is_no_leak_and_no_warning(caplog):
    leakage = cd.check_leakage(train=documents(a=text(1), empty=""), dev=None, test=documents(b=text(2), empty="—"))
    assert not leakage
    assert not caplog.records
    assert not cd.check_leakage(train=[], test=[])


def test_what_cannot_be_compared_is_said():
    with pytest.raises(ConfigError, match="two or more by name"):
        cd.check_leakage(train=[], test=None)
    with pytest.raises(ConfigError, match="threshold must lie in"):
        cd.check_leakage(train=[], test=[], threshold=70)
    with pytest.raises(ConfigError, match="no part is called tset; there are train, test"):
        cd.check_leakage(train=[], test=[]).between("train", "tset")


def test_phees_sentences_from_bc5cdrs_abstracts_are_found_by_their_text_alone():
    abstracts = list(cd.load_dataset("bc5cdr", path=real("bc5cdr_pubtator")))
    sentences = list(cd.load_dataset("phee", path=real("phee")))
    shared = {document.id for document in abstracts} & {document.id.split("_")[0] for document in sentences}
    assert len(shared) == 21
    leakage = cd.check_leakage(bc5cdr=abstracts, phee=sentences)
    assert {leak.id for leak in leakage.leaks} == shared
    assert all(leak.other_id.startswith(f"{leak.id}_") for leak in leakage.leaks)


def test_ncbis_abstract_that_stands_twice_is_found(tmp_path):
    lines = (real("ncbi_disease") / "original-data/train/NCBItrainset_corpus.txt").read_bytes().splitlines(True)
    for name, part in {"one": lines[:4_400], "two": lines[4_400:]}.items():
        (tmp_path / name).write_bytes(b"".join(part))
    one, two = (cd.load_dataset("pubtator", path=tmp_path / name, on_error="skip") for name in ("one", "two"))
    leakage = cd.check_leakage(one=one, two=two)
    assert pairs(leakage) == [("one", "8528200", "two", "8528200", True)]


@pytest.mark.parametrize(
    ("name", "folder", "leaks"),
    [
        ("ncbi-disease", "ncbi_disease", []),
        ("bc5cdr", "bc5cdr_pubtator", []),
        ("phee", "phee", [("train", "18176653_3", "test", "15507779_2", False)]),
        ("vaers", "recorded_llm_vaers", [("train", "train/601", "test", "test/28", True)]),
    ],
)
def test_the_official_splits_of_open_corpora_leak_what_they_leak(name, folder, leaks):
    splits = {split: cd.load_dataset(name, path=real(folder), split=split) for split in ("train", "dev", "test")}
    assert pairs(cd.check_leakage(**splits)) == leaks
