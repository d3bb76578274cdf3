"""The formats on the real corpora, as their publishers made them."""

from collections import Counter

import pytest

import clinidistill as cd
from clinidistill.errors import DataError
from clinidistill.settings import Settings


@pytest.fixture
def corpus():
    def place(name):
        path = Settings().data / name
        if not path.exists():
            pytest.skip(f"{path} is absent; set CLINIDISTILL_DATA to the folder of corpora")
        return path

    return place


def labels(documents):
    return Counter(span.label for document in documents for span in document.spans)


def test_maccrobat_is_read_whole_and_comes_back_from_every_format_that_can_say_it(corpus, tmp_path):
    documents = list(cd.load_dataset("brat", path=corpus("maccrobat2020/MACCROBAT2020")))
    assert len(documents) == 160
    found = labels(documents)
    assert found.total() == 19_943
    assert (found["Medication"], found["Disease_disorder"], found["Sign_symptom"]) == (853, 1_072, 2_584)
    assert sum(bool(span.fragments) for document in documents for span in document.spans) == 40
    for format in ("brat", "jsonl"):
        cd.MemoryDataset(documents).save(tmp_path / format, format=format)
        assert list(cd.load_dataset(format, path=tmp_path / format)) == documents
    with pytest.raises(DataError, match="IOB2 cannot say the overlap"):
        cd.MemoryDataset(documents).save(tmp_path / "x.conll")


def test_maccrobats_three_types_can_be_selected_and_renamed(corpus):
    names = {"Medication": "medication", "Disease_disorder": "disease", "Sign_symptom": "symptom"}
    documents = list(
        cd.load_dataset("brat", path=corpus("maccrobat2020/MACCROBAT2020"), labels=names, fragments="join")
    )
    assert labels(documents) == {"medication": 853, "disease": 1_072, "symptom": 2_584}
    assert {document.covers for document in documents} == {frozenset(names.values())}
    assert not any(span.fragments for document in documents for span in document.spans)


@pytest.mark.parametrize(
    ("file", "size", "chemicals", "diseases"),
    [("BC5CDR_TrainDev.PubTator", 1_000, 10_548, 8_426), ("BC5CDR_Test.PubTator", 500, 5_372, 4_424)],
)
def test_bc5cdr_is_read_whole_and_comes_back(file, size, chemicals, diseases, corpus, tmp_path):
    documents = list(cd.load_dataset("pubtator", path=corpus("bc5cdr_pubtator/data/pubtator") / file))
    assert len(documents) == size
    assert labels(documents) == {"Chemical": chemicals, "Disease": diseases}
    cd.MemoryDataset(documents).save(tmp_path / "x.pubtator")
    assert list(cd.load_dataset("pubtator", path=tmp_path / "x.pubtator")) == documents


@pytest.mark.parametrize(
    ("file", "size", "mentions"),
    [("devel/NCBIdevelopset_corpus.txt", 100, 787), ("test/NCBItestset_corpus.txt", 100, 960)],
)
def test_the_ncbi_disease_corpus_is_read_whole(file, size, mentions, corpus):
    documents = list(cd.load_dataset("pubtator", path=corpus("ncbi_disease/original-data") / file))
    assert (len(documents), labels(documents).total()) == (size, mentions)
    assert all(span.code for document in documents for span in document.spans)


def test_the_ncbi_training_set_holds_one_document_twice_and_says_so(corpus):
    path = corpus("ncbi_disease/original-data/train/NCBItrainset_corpus.txt")
    with pytest.raises(DataError, match=r"txt:4557: a second document has the id '8528200'"):
        list(cd.load_dataset("pubtator", path=path))
    dataset = cd.load_dataset("pubtator", path=path, on_error="skip")
    documents = list(dataset)
    assert (len(documents), labels(documents).total(), len(dataset.skipped)) == (592, 5_134, 1)


def test_vaers_gold_needs_its_split_in_the_ids(corpus):
    path = corpus("recorded_llm_vaers/gold.jsonl.gz")
    with pytest.raises(DataError, match=r"gz:604: a second document has the id '0'"):
        list(cd.load_dataset("jsonl", path=path))
    documents = list(cd.load_dataset("jsonl", path=path, id_fields=["split", "id"]))
    assert len(documents) == 1_015
    assert labels(documents) == {"nervous_AE": 651, "other_AE": 531, "procedure": 521, "investigation": 236}
    assert Counter(document.meta["split"] for document in documents) == {"train": 603, "valid": 126, "test": 286}


def test_the_e3c_pool_is_read_as_bare_notes(corpus):
    documents = list(cd.load_dataset("jsonl", path=corpus("e3c_pool/notes.jsonl.gz")))
    assert len(documents) == 7_930
    assert sum(len(document.text) for document in documents) == 6_161_422
    assert not any(document.spans for document in documents)
    assert documents[0].meta.keys() == {"url", "licence"}
