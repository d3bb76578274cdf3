"""Open corpora: the real files where they are there, and made-up ones in the published format and layout."""

import gzip
import json
import zipfile
from collections import Counter

import pytest

import clinidistill as cd
from clinidistill.errors import ConfigError, DataError
from clinidistill.settings import Settings

FOLDERS = {
    "ncbi-disease": "ncbi_disease",
    "bc5cdr": "bc5cdr_pubtator",
    "maccrobat": "maccrobat2020",
    "phee": "phee",
    "vaers": "recorded_llm_vaers",
}
SIZES = {  # documents of train, dev and test; mentions by label
    "ncbi-disease": ((592, 100, 100), {"disease": 6_881}),
    "bc5cdr": ((500, 500, 500), {"medication": 15_920, "disease": 12_850}),
    "maccrobat": ((106, 14, 40), {"medication": 853, "disease": 1_072, "symptom": 2_584}),
    "phee": ((2_898, 961, 968), {"medication": 6_017, "disease": 2_050, "adverse_event": 4_506}),
    "vaers": ((603, 126, 286), {"nervous_AE": 651, "other_AE": 531, "procedure": 521, "investigation": 236}),
}


def real(name):
    path = Settings().data / FOLDERS[name]
    if not path.exists():
        pytest.skip(f"{path} is absent; set CLINIDISTILL_DATA to the folder of corpora")
    return path


def labels(documents):
    return Counter(span.label for document in documents for span in document.spans)


def ids(documents):
    return [document.id for document in documents]


@pytest.mark.parametrize("name", FOLDERS)
def test_each_open_corpus_is_read_whole_in_its_splits(name):
    documents = list(cd.load_dataset(name, path=real(name)))
    sizes, mentions = SIZES[name]
    assert Counter(document.meta["split"] for document in documents) == dict(
        zip(("train", "dev", "test"), sizes, strict=True)
    )
    assert labels(documents) == mentions
    dev = [document for document in documents if document.meta["split"] == "dev"]
    assert list(cd.load_dataset(name, path=real(name), split="dev")) == dev
    covers = {frozenset(mentions)} if name != "phee" else {frozenset()}
    assert {document.covers for document in documents} == covers
    if name != "maccrobat":
        assert len(cd.load_dataset(name, path=real(name), split="dev")) == len(dev)


def test_bc5cdrs_merged_file_parts_where_the_official_splits_do():
    path = real("bc5cdr")
    for split, diseases in {"train": 4_182, "dev": 4_244, "test": 4_424}.items():  # as published
        assert labels(cd.load_dataset("bc5cdr", path=path, split=split))["disease"] == diseases


def test_ncbis_document_that_stands_twice_is_read_once():
    assert Counter(ids(cd.load_dataset("ncbi-disease", path=real("ncbi-disease"), split="train")))["8528200"] == 1


def test_phees_silence_covers_nothing_unless_it_is_taken_as_none():
    path = real("phee")
    taken = next(iter(cd.load_dataset("phee", path=path, split="dev", unmarked="negative")))
    assert taken.covers == {"medication", "disease", "adverse_event"}
    assert [(taken.mention(span), span.label) for span in taken.spans] == [
        ("PLP", "adverse_event"),
        ("paclitaxel", "medication"),
    ]


def test_fragments_are_joined_unless_they_are_wanted():
    def discontinuous(name, **options):
        documents = cd.load_dataset(name, path=real(name), split="test", **options)
        return sum(bool(span.fragments) for document in documents for span in document.spans)

    assert discontinuous("maccrobat") == discontinuous("phee") == 0
    assert discontinuous("maccrobat", fragments="keep") == 1
    assert discontinuous("phee", fragments="keep") == 39


def test_the_recorded_teacher_answers_about_the_vaers_test_split():
    folder = real("vaers")
    test = cd.load_dataset("vaers", path=folder, split="test")
    teacher = cd.load_teacher(
        "recorded", path=folder / "responses.jsonl.gz", model="GPT-4", prompt="baseline", labels=list(test.names)
    )
    answered = cd.label(test, teacher, progress=False)
    assert len(answered.failures()) < 3
    assert cd.evaluate(test, answered.predictions(teacher.name)).lenient.micro.f1 > 0.5


ABSTRACT = "{0}|t|Aspirin in asthma.\n{0}|a|No {1} was seen.\n"
CDR = "{0}\t0\t7\tAspirin\tChemical\tD001241\n{0}\t11\t17\tasthma\tDisease\tD001249\n{0}\tCID\tD001241\tD001249\n\n"


def cdr_release(path, sizes=(500, 500, 500), merged=False):
    texts = ["".join((ABSTRACT + CDR).format(f"{n}{m}", f"effect {m}") for m in range(s)) for n, s in enumerate(sizes)]
    if merged:
        (path / "pubtator").mkdir(parents=True)
        (path / "pubtator" / "BC5CDR_TrainDev.PubTator").write_text(texts[0] + texts[1])
        (path / "pubtator" / "BC5CDR_Test.PubTator").write_text(texts[2])
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in zip(("Training", "Development", "Test"), texts, strict=True):
            packed.writestr(f"CDR_Data/CDR.Corpus.v010516/CDR_{name}Set.PubTator.txt", text)
            packed.writestr(f"CDR_Data/CDR.Corpus.v010516/CDR_{name}Set.BioC.xml", "<collection/>")
    return path


def test_bc5cdrs_official_archive_and_aioners_files_read_alike(tmp_path):
    official = cd.load_dataset("bc5cdr", path=cdr_release(tmp_path / "CDR_Data.zip"))
    merged = cd.load_dataset("bc5cdr", path=cdr_release(tmp_path / "aioner", merged=True))
    assert list(official) == list(merged)
    assert len(official) == 1_500
    assert labels(official) == {"medication": 1_500, "disease": 1_500}


def test_a_bc5cdr_file_cut_short_is_an_error(tmp_path):
    release = cdr_release(tmp_path / "CDR_Data.zip", (500, 499, 500))
    with pytest.raises(DataError, match="499 documents in dev, where the publisher has 500"):
        list(cd.load_dataset("bc5cdr", path=release, split="valid"))


def test_ncbis_three_archives_are_read_side_by_side_and_a_missing_one_is_named(tmp_path):
    for name, size in {"train": 592, "develop": 100, "test": 100}.items():
        texts = [(ABSTRACT + "{0}\t11\t17\tasthma\tModifier\tD001249\n\n").format(f"{name}{m}", m) for m in range(size)]
        with zipfile.ZipFile(tmp_path / f"NCBI{name}set_corpus.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            twice = texts[0] if name == "train" else ""
            packed.writestr(f"NCBI{name}set_corpus.txt", "\n" + "".join(texts) + twice)
    documents = list(cd.load_dataset("ncbi-disease", path=tmp_path))
    assert (len(documents), labels(documents)) == (792, {"disease": 792})
    kinds = cd.load_dataset("ncbi-disease", path=tmp_path, split="test", labels={"DiseaseClass": "class"})
    assert (labels(kinds), next(iter(kinds)).covers) == ({}, {"class"})
    (tmp_path / "NCBIdevelopset_corpus.zip").unlink()
    with pytest.raises(DataError, match=r"missing: NCBIdevelopset_corpus\.txt of dev\. .*CBBresearch/Dogan"):
        cd.load_dataset("ncbi-disease", path=tmp_path).check()


REPORT = ("Chest pain.\n", "T1\tSign_symptom 0 10\tChest pain\nT2\tLab_value 0 5\tChest\n")


def test_maccrobats_archive_of_archives_is_read_by_release_and_an_unpaired_report_is_an_error(tmp_path):
    for release, names in {"2018": ("100", "101"), "2020": ("100", "102", "103")}.items():
        with zipfile.ZipFile(tmp_path / f"MACCROBAT{release}.zip", "w") as packed:
            for name in names:
                packed.writestr(f"{name}.txt", REPORT[0])
                packed.writestr(f"{name}.ann", REPORT[1])
            packed.writestr("__MACOSX/._100.txt", b"\0")
    outer = tmp_path / "all" / "9764942.zip"
    outer.parent.mkdir()
    with zipfile.ZipFile(outer, "w") as packed:
        for release in ("2018", "2020"):
            packed.write(tmp_path / f"MACCROBAT{release}.zip", f"MACCROBAT{release}.zip")
    for path in (outer, tmp_path / "MACCROBAT2020.zip"):
        documents = list(cd.load_dataset("maccrobat", path=path))
        assert (sorted(ids(documents)), labels(documents)) == (["100", "102", "103"], {"symptom": 3})
    assert sorted(ids(cd.load_dataset("maccrobat", path=outer, release="2018"))) == ["100", "101"]
    folder = tmp_path / "mine"
    with zipfile.ZipFile(tmp_path / "MACCROBAT2020.zip") as packed:
        packed.extractall(folder)
    (folder / "hi.txt").write_text("hi")
    assert sorted(ids(cd.load_dataset("maccrobat", path=folder))) == ["100", "102", "103"]
    (folder / "102.ann").unlink()
    with pytest.raises(DataError, match=r"\*\.ann of train \(2 of 3\)"):
        list(cd.load_dataset("maccrobat", path=folder))


def sentence(**event):
    return {"id": "1_1", "context": "Two drugs, A and B, cured C.", "annotations": [{"events": [event]}]}


def phee(folder, *sentences):
    (folder / "data/json").mkdir(parents=True, exist_ok=True)
    (folder / "data/json/dev.json").write_text("".join(json.dumps(each) + "\n" for each in sentences))
    return cd.load_dataset("phee", path=folder, split="dev", complete=False, fragments="keep")


def mention(text, *starts):
    return {"text": [text], "start": [list(starts)], "entity_id": ["T1"]}


def test_phees_participants_are_read_by_kind_of_event(tmp_path):
    treatment = {"Drug": {"text": [["A"], ["B"]], "start": [[11], [17]]}, "Disorder": mention(["C"], 26)}
    effect = mention(["cured", "Two"], 20, 0)
    for kind, expected in {
        "Adverse_event": {"medication": 2, "disease": 1, "adverse_event": 1},
        "Potential_therapeutic_event": {"medication": 2, "disease": 1},
    }.items():
        (document,) = phee(tmp_path, sentence(event_type=kind, Treatment=treatment, Effect=effect))
        assert labels([document]) == expected
    (document,) = phee(tmp_path, sentence(event_type="Adverse_event", Effect=effect))
    assert document.spans[0].fragments == ((0, 3), (20, 25))


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ({"event_type": "Adverse_event", "Effect": mention(["cured"], 19)}, "not what the text has"),
        ({"event_type": "Adverse_event", "Effect": mention(["cured"])}, "no PHEE sentence"),
        ({"Effect": mention(["cured"], 20)}, "no PHEE sentence"),
        ({"event_type": "Adverse_event", "Effect": mention([], *[])}, "no PHEE sentence"),
        ({"event_type": "Adverse_event", "Effect": ["cured"]}, "no PHEE sentence"),
    ],
)
def test_a_phee_sentence_at_fault_is_named_by_file_and_line(tmp_path, event, fault):
    fine = {"id": "0_1", "context": "Nothing.", "annotations": []}
    with pytest.raises(DataError, match=rf"dev\.json:2: .*{fault}"):
        list(phee(tmp_path, fine, sentence(**event)))


def test_vaers_as_its_repository_has_it_reads_as_the_joined_file_does(tmp_path):
    tokens = {
        "difficulty": "B-other_AE",
        "climbing": "I-other_AE",
        "stairs": "I-other_AE",
        ",": "O",
        "falls": "B-other_AE",
    }
    lines = []
    for folder in ("train", "valid", "test"):
        place = tmp_path / "repo/data/Vaccine-AE-recognition" / folder
        place.mkdir(parents=True)
        for number in sorted(map(str, range(12))):
            (place / f"{number}.bio").write_text("".join(f"{token} {tag}\n" for token, tag in tokens.items()))
            spans = [{"start": 0, "end": 26, "label": "other_AE"}, {"start": 29, "end": 34, "label": "other_AE"}]
            lines.append({"id": number, "split": folder, "text": " ".join(tokens), "spans": spans})
    joined = tmp_path / "gold.jsonl.gz"
    joined.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    repository = cd.load_dataset("vaers", path=tmp_path / "repo", complete=False)
    assert list(repository) == list(cd.load_dataset("vaers", path=joined, complete=False))
    assert (len(list(repository)), next(iter(repository)).id) == (36, "train/0")
    with pytest.raises(DataError, match=r"train/\*\.bio of train \(12 of 603\)"):
        cd.load_dataset("vaers", path=tmp_path / "repo").check()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_corpus_says_where_it_is_given_out_and_knows_its_splits(name, tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        list(cd.load_dataset(name, path=tmp_path / "nowhere"))
    with pytest.raises(DataError, match="It is given out at https://"):
        list(cd.load_dataset(name, path=tmp_path))
    with pytest.raises(ConfigError, match="this corpus has train, dev, test"):
        cd.load_dataset(name, path=tmp_path, split="tests")
    cls = type(cd.load_dataset(name, path=tmp_path))
    assert cls.homepage in cls.__doc__
    assert cd.load_dataset(name, path=tmp_path).is_deidentified
