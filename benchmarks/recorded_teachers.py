"""Opinions of real teachers with people's labels beside them: recorded language models, and open terminologies."""

import gzip
import json

import clinidistill as cd
from clinidistill.settings import Settings

DATA = Settings().data
VAERS = DATA / "recorded_llm_vaers"
VAERS_LABELS = ("investigation", "nervous_AE", "other_AE", "procedure")
DRUGBANK = DATA / "drugbank_vocabulary/data/drug_names_terminology/drugbank vocabulary.csv"
ICD10CM = DATA / "icd10cm_2026/simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
CORPORA = {
    "MACCROBAT": {
        "format": "brat",
        "path": "maccrobat2020/MACCROBAT2020",
        "labels": {"Medication": "drug", "Disease_disorder": "disease", "Sign_symptom": "symptom"},
        "fragments": "join",
    },
    "BC5CDR": {
        "format": "pubtator",
        "path": "bc5cdr_pubtator/data/pubtator/BC5CDR_Test.PubTator",
        "labels": {"Chemical": "drug", "Disease": "disease"},
    },
}


def recorded():
    """The VAERS passages with gold, and what ten recorded models say of them; None if they are not there."""
    if not VAERS.is_dir():
        return None
    answers = VAERS / "responses.jsonl.gz"
    gold = cd.load_dataset("jsonl", path=VAERS / "gold.jsonl.gz", id_fields=["split", "id"])
    test = [document for document in gold if document.meta["split"] == "test"]
    with gzip.open(answers, "rt", encoding="utf-8") as lines:
        selections = dict.fromkeys((answer["model"], answer["prompt"]) for answer in map(json.loads, lines))
    teachers = [
        cd.load_teacher("recorded", path=answers, model=model, prompt=prompt, labels=VAERS_LABELS)
        for model, prompt in selections
    ]
    return test, cd.label(test, teachers, progress=False)


def terminology_labels(corpus):
    """A corpus, and what a teacher for each of several terminologies says of it; None if one is not there."""
    options = dict(CORPORA[corpus])
    path = DATA / options.pop("path")
    if not all(each.exists() for each in (path, DRUGBANK, ICD10CM, DATA / "mesh_terms", DATA / "doid", DATA / "symp")):
        return None
    documents = list(cd.load_dataset(options.pop("format"), path=path, **options))
    symptom = "symptom" if corpus == "MACCROBAT" else "disease"  # BC5CDR's diseases hold symptoms
    stop_lists = ["everyday", "general"] + (["analytes"] if corpus == "MACCROBAT" else [])
    sources = {
        ("DrugBank", "drug"): cd.load_terminology("drugbank", path=DRUGBANK),
        ("MeSH chemicals", "drug"): mesh("D01", "D02", "D03", "D04", "D09", "D10"),
        ("DOID", "disease"): cd.load_terminology("table", path=DATA / "doid/DOreports/HumanDO.tsv"),
        ("MeSH diseases", "disease"): mesh("C", "F03", exclude_trees=["C23.888"]),
        ("ICD-10-CM", "disease"): cd.load_terminology("icd10cm", path=ICD10CM, chapters=range(1, 18)),
        ("SYMP", symptom): cd.load_terminology("obo", path=DATA / "symp/src/ontology/symp.obo"),
        ("MeSH signs", symptom): mesh("C23.888"),
        ("ICD-10-CM R", symptom): cd.load_terminology("icd10cm", path=ICD10CM, prefixes=["R"]),
    }
    teachers = [
        cd.load_teacher(
            "terminology", terminology=terminology, label=label, name=name, stop_lists=stop_lists, cache=False
        )
        for (name, label), terminology in sources.items()
    ]
    return documents, held(cd.label(documents, teachers, progress=False))


def mesh(*trees, **options):
    return cd.load_terminology("mesh", path=DATA / "mesh_terms/data/terms.tsv", trees=trees, **options)


def held(labels):
    """The same labels at hand, so that none is read anew."""
    said = {name: {} for name in labels.teachers}
    for each in labels:
        for name, annotation in each.annotations.items():
            said[name][each.document.id] = annotation
    return cd.Labels([each.document for each in labels], labels.teachers, lambda teacher, _: said[teacher])
