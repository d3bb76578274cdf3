"""Every built-in keeps the rules of its kind."""

import json
import re

import pytest
from learnt_notes import NOTES as LEARNT
from learnt_notes import gold

import clinidistill as cd
from clinidistill.llm.types import Message, Prompt
from clinidistill.registry import registry
from clinidistill.settings import Settings
from clinidistill.testing import (
    check_aggregator,
    check_dataset,
    check_provider,
    check_student,
    check_teacher,
    check_terminology,
)

NOTES = ["started aspirin for pain daily", "pain and rash after metformin", "aspirin was stopped"]
MENTIONS = re.compile("aspirin|metformin|pain|rash")


def names(group):
    return [info.name for info in cd.available(group) if info.package == "clinidistill"]


def left_out(reasons, *allowed):
    """All rules were tried but those that cannot be of any such component, and `allowed`."""
    always = {"component/options-kept", "component/secrets", "teacher/remote"}
    assert set(reasons) <= {*always, *allowed}, reasons


@pytest.fixture
def tenth_of_a_megabyte(monkeypatch):
    """Long notes are a tenth as long, where another component that reads them alike is held to a whole megabyte."""
    monkeypatch.setattr("clinidistill.testing.marking._HUGE", 100_000)


class TestTeachers:
    def test_terminology(self, tmp_path):
        path = tmp_path / "drugs.csv"
        path.write_text("code,name\n6809,metformin\n1191,aspirin\n", encoding="utf-8")
        left_out(check_teacher(cd.load_teacher("terminology", path=path, label="medication"), NOTES))
        words = cd.load_teacher("terminology", terminology=["rash", "metformin"], label="any", fuzzy=True, cache=False)
        left_out(check_teacher(words, NOTES))

    def test_rxnorm(self, tmp_path):
        import test_rxnorm

        teacher = cd.load_teacher("rxnorm", path=test_rxnorm.release(tmp_path))
        left_out(check_teacher(teacher, [*NOTES, "Tylenol with codeine; metformin."]))

    def test_snomed(self, tmp_path):
        import test_snomed

        test_snomed.write_release(tmp_path)
        teacher = cd.load_teacher("snomed", path=tmp_path, label="disease")
        left_out(check_teacher(teacher, ["Heart attack.", "Myocardial infarction with asthma.\nNo edema."]))

    @pytest.mark.parametrize("api", ["openai", "gemini", "anthropic", "llm"])
    def test_language_models(self, api):
        from answer_server import AnswerServer, note_in

        task = {"name": "t", "entities": [{"name": "mention", "definition": "What is marked."}]}

        def answer(message):
            found = dict.fromkeys(MENTIONS.findall(note_in(message)))
            return json.dumps({"mentions": [{"text": text, "label": "mention"} for text in found]})

        with AnswerServer(answer) as server:
            options = {"model": "any", "base_url": server.url, "api_key": "k"}
            if api == "llm":
                options = {"provider": {"name": "openai", **options}}
            teacher = cd.load_teacher(api, **options, task=task)
            assert not teacher.deterministic
            teacher.deterministic = True  # as this server is
            left_out(check_teacher(teacher, NOTES))

    def test_recorded(self, tmp_path):
        path = tmp_path / "answers.jsonl"
        rows = [
            {"id": str(number), "response": MENTIONS.sub(r'<span class="mention">\g<0></span>', note)}
            for number, note in enumerate(NOTES)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        left_out(check_teacher(cd.load_teacher("recorded", path=path), NOTES))

    def test_transformer(self, learnt_folder):
        left_out(check_teacher(cd.load_teacher("transformer", model=learnt_folder), NOTES))

    def test_transformers_llm(self, tmp_path, tenth_of_a_megabyte):
        import test_transformers_llm as local

        local.script(local.make_model(hidden_size=64), local.FOLLOWS).save_pretrained(tmp_path / "base")
        local.make_tokenizer().save_pretrained(tmp_path / "base")
        teacher = local.teacher(tmp_path / "base", batch_size=8)
        left_out(check_teacher(teacher, [note.text for note in local.notes(3)]))


class TestStudents:
    def test_token_classifier(self, learnt):
        left_out(check_student(learnt, NOTES))

    def test_token_classifier_onnx(self, learnt, tmp_path, tenth_of_a_megabyte):
        left_out(check_student(learnt.export("onnx", tmp_path / "onnx"), NOTES))

    def test_span_classifier(self, tiny_base, tenth_of_a_megabyte):
        student = cd.load_student("span-classifier", base=tiny_base, name="tiny", stride=8)
        cd.Distiller(30, 5e-3, 256, precision="fp32", device="cpu", show=False).fit(student, map(gold, LEARNT))
        left_out(check_student(student, NOTES))


FORMATS = [
    name for name in names("datasets") if registry("datasets").get(name).write.__func__ is not cd.Dataset.write.__func__
]
READ_ONLY = ("dataset/round-trip", "dataset/offsets", "dataset/sizes")


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name, tmp_path):
    cls = registry("datasets").get(name)
    notes = [cd.Document(f"n{number}", f"{note} until the next visit.") for number, note in enumerate(NOTES)]
    spans = [[cd.Span(*match.span(), "mention") for match in MENTIONS.finditer(note.text)] for note in notes]
    labelled = [note.with_spans(each, None) for note, each in zip(notes, spans, strict=True)]
    path = tmp_path / f"notes{cls.suffixes[0] if cls.suffixes else ''}"
    try:
        cls.write(labelled, path)
    except cd.errors.ConfigError:
        path = tmp_path / "notes"
        cls.write(labelled, path)
    left_out(check_dataset(cd.load_dataset(name, path=path)), "dataset/length")


def test_the_demo_notes():
    left_out(check_dataset(cd.load_dataset("demo", split="dev")), *READ_ONLY, "dataset/damage")


def test_text_files(tmp_path):
    for number, note in enumerate(NOTES):
        (tmp_path / f"{number}.txt").write_text(note, encoding="utf-8")
    left_out(check_dataset(cd.load_dataset("text", path=tmp_path)), *READ_ONLY, "dataset/length")


AT_HAND = {  # of the corpora, those that may be passed on
    "bc5cdr": "bc5cdr_pubtator",
    "maccrobat": "maccrobat2020",
    "ncbi-disease": "ncbi_disease",
    "phee": "phee",
    "vaers": "recorded_llm_vaers",
}


@pytest.mark.parametrize("name", AT_HAND)
def test_corpora(name):
    path = Settings().data / AT_HAND[name]
    if not path.is_dir():
        pytest.skip(f"{path} is absent; see docs/data.md")
    corpus = cd.load_dataset(name, path=path)
    left_out(check_dataset(corpus), *READ_ONLY, "dataset/length", "dataset/damage")


def a_few(name, folder):
    """A few made-up documents of a corpus behind an agreement, as it is given out."""
    import test_brat_releases as brat
    import test_i2b2 as i2b2
    import test_medalign
    import test_mtsamples

    if name == "medalign":
        return test_medalign.record(folder)
    if name == "mtsamples":
        return test_mtsamples.table(folder, test_mtsamples.row(0), test_mtsamples.row(1, "Other."))
    files = {
        "n2c2-2018-track2": brat.pairs("training_20180910/", "12") | brat.pairs("test/", "3"),
        "n2c2-2022": brat.pairs("trainingdata_v3/train/", "12", brat.CMED_NOTE, brat.CMED_ANN),
        "coral": brat.pairs("coral/annotated/pdac/", "12", brat.CORAL_NOTE, brat.CORAL_ANN),
        "i2b2-2009-medication": {
            "train.test.released.8.17.09/7": i2b2.NOTE,
            "training.ground.truth/7_gold.entries": i2b2.ENTRIES,
        },
        "i2b2-2010": {"beth/txt/1.txt": i2b2.TEXT, "beth/concept/1.con": i2b2.CONCEPTS},
    }
    return brat.write(folder, files[name])


@pytest.mark.parametrize("name", sorted({*names("datasets")} - {*FORMATS, *AT_HAND, "demo", "text"}))
def test_corpora_behind_agreements(name, tmp_path):
    options = {} if name == "mtsamples" else {"complete": False}
    corpus = cd.load_dataset(name, path=a_few(name, tmp_path), **options)
    assert [each.text for each in corpus]
    left_out(check_dataset(corpus), *READ_ONLY, "dataset/length")


@pytest.mark.parametrize("name", names("aggregators"))
def test_aggregators(name):
    left_out(check_aggregator(cd.load_aggregator(name)))


@pytest.mark.parametrize("name", names("providers"))
def test_providers(name):
    import httpx
    from answer_server import AnswerServer

    server = AnswerServer(lambda message: '{"mentions": []}')

    def answer(request):
        status, body = server.respond(request.url.path, request.content)
        return httpx.Response(status, json=body)

    provider = registry("providers").create(name, model="any", api_key="k", base_url="http://127.0.0.1:9")
    assert isinstance(provider.build(Prompt("s", (Message("user", "n"),))), httpx.Request)
    left_out(check_provider(provider, answer))


def terminology(name, tmp_path):
    """Options of a small terminology of each format."""
    if name in {"rxnorm", "snomed", "umls"}:
        import test_rxnorm
        import test_snomed
        import test_umls

        writers = {"rxnorm": test_rxnorm.release, "snomed": test_snomed.write_release, "umls": test_umls.meta}
        return writers[name](tmp_path) or tmp_path
    files = {}
    if name == "mesh":
        import test_mesh

        files["desc2026.xml"] = test_mesh.DESCRIPTORS_XML
    if name == "drugbank":
        import test_drugbank

        files["drugs.csv"] = test_drugbank.FILE
    if name == "table":
        files["drugs.csv"] = "code,name\n6809,metformin\n1191,aspirin\n"
    if name == "obo":
        files["d.obo"] = 'format-version: 1.2\n\n[Term]\nid: DOID:1\nname: asthma\nsynonym: "wheeze" EXACT []\n'
    if name == "icd10cm":
        import test_icd10cm

        files["icd10cm.xml"] = test_icd10cm.FILE
    ((file, text),) = files.items()
    (tmp_path / file).write_text(text, encoding="utf-8")
    return tmp_path / file


@pytest.mark.parametrize("name", names("terminologies"))
def test_terminologies(name, tmp_path):
    left_out(check_terminology(cd.load_terminology(name, path=terminology(name, tmp_path))))
