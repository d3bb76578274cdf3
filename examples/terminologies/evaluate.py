"""What open terminologies find in three annotated corpora, and what each rule of the terminology teacher gives.

    python examples/terminologies/evaluate.py           # the documents that no rule was made on
    python examples/terminologies/evaluate.py train     # the training documents of BC5CDR and NCBI disease

prints two tables in Markdown. Corpora and terminologies are read from the data folder (CLINIDISTILL_DATA; see
docs/data.md).
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import clinidistill as cd
from clinidistill.matching import NameRules, word_key
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, Terminology
from clinidistill.types import Scores

DATA = Settings().data
BC5CDR = {"name": "bc5cdr", "path": "bc5cdr_pubtator", "labels": {"Chemical": "chemical", "Disease": "disease"}}
NCBI = {"name": "ncbi-disease", "path": "ncbi_disease"}
CORPORA: dict[str, dict[str, dict[str, Any]]] = {
    "test": {
        "MACCROBAT": {"name": "maccrobat", "path": "maccrobat2020"},
        "BC5CDR test": BC5CDR | {"splits": ["test"]},
        "NCBI test": NCBI | {"splits": ["test"]},
    },
    "train": {
        "BC5CDR train": BC5CDR | {"splits": ["train", "dev"]},
        "NCBI train": NCBI | {"splits": ["train"]},
    },
}
# Which terminologies look for a label, and as what teacher's options.
TEACHERS: dict[str, dict[str, list[tuple[str, dict[str, Any]]]]] = {
    "MACCROBAT": {
        "medication": [("medications", {})],
        "disease": [("diseases", {})],
        "symptom": [("symptoms", {})],
    },
    # Any chemical counts there, measured or given; and symptoms are diseases.
    "BC5CDR": {
        "chemical": [("substances", {"stop_lists": ["everyday", "general"]})],
        "disease": [("diseases", {}), ("symptoms", {})],
    },
    "NCBI": {"disease": [("diseases", {})]},
}
COMPOUND = re.compile(
    r"(\w+) and (\w+)"
    r"|(?:very |sudden onset of )?(?:severe|mild|moderate|high|persistent|progressive|sudden|low grade) (.+)"
)
VARIANTS = ("plurals", "spellings", "unqualified", "synonyms", "word_order", "joined", "adjectives")
EVIDENCE = ("capitals", "dose", "list", "concept")
STOP_LISTS = ("everyday", "analytes", "general")
PLAIN = dict.fromkeys(VARIANTS, False) | {"definitions": False, "stop_lists": [], "evidence": [], "min_length": 4}


def main(split: str = "test") -> None:
    if not (DATA / "doid").is_dir():
        print(f"{DATA / 'doid'} is not there: nothing to evaluate (CLINIDISTILL_DATA names the data folder)")
        return
    corpora = {name: corpus(**options) for name, options in CORPORA[split].items()}
    concepts = terminologies()
    every = run(corpora, concepts, {})
    plain = run(corpora, concepts, PLAIN)
    rows = []
    for name, scores in every.items():
        for label in TEACHERS[name.split()[0]]:
            cells = [
                short(getattr(scheme.per_label[label], metric))
                for scheme in (scores.strict, scores.lenient)
                for metric in ("precision", "recall", "f1")
            ]
            before = plain[name]
            rows.append(
                (name, label, *cells, *(short(each.per_label[label].f1) for each in (before.strict, before.lenient)))
            )
    head = ("documents", "label", "P", "R", "F1", "P (lenient)", "R (lenient)", "F1 (lenient)")
    print(table((*head, "plain F1", "plain F1 (lenient)"), rows))
    rows = [("none", "", *total(every))]
    for name, options in ablations():
        rows.append((name, "", *total(run(corpora, concepts, options))))
    rows.append(("all", "", *total(plain)))
    print(table(("switched off", "", "P", "R", "F1", "P (lenient)", "R (lenient)", "F1 (lenient)"), rows))


def ablations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each rule, with the options that switch it off."""
    for rule in VARIANTS:
        yield f"`{rule}`", {rule: False}
    yield "`definitions`", {"definitions": False}
    for kind in EVIDENCE:
        yield f"`evidence`: {kind}", {"evidence": [each for each in EVIDENCE if each != kind]}
    yield "`evidence`: all", {"evidence": []}
    for name in STOP_LISTS:
        yield f"`stop_lists`: {name}", {"without": name}


def corpus(name: str, path: str, splits: Sequence[str | None] = (None,), **options: Any) -> list[cd.Document]:
    datasets = (cd.load_dataset(name, path=DATA / path, split=split, **options) for split in splits)
    return [document for dataset in datasets for document in dataset]


def terminologies() -> dict[str, list[Concept]]:
    """Concepts of medications, of substances, of diseases and of symptoms.

    What ICD-10-CM and MeSH file under signs and symptoms is a symptom. What the Disease Ontology names besides is a
    disease; what else the Symptom Ontology names is a symptom, and none. How bad a symptom is, "severe headache", is
    not part of it.
    """
    doid = cd.load_terminology("table", path=DATA / "doid/DOreports/HumanDO.tsv")
    for subset in ("NCIthesaurus", "DO_rare_slim"):
        doid |= cd.load_terminology("obo", path=DATA / f"doid/src/ontology/subsets/{subset}.obo")
    icd10cm = DATA / "icd10cm_2026/simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
    symp = cd.load_terminology("obo", path=DATA / "symp/src/ontology/symp.obo")
    chapter_18 = cd.load_terminology("icd10cm", path=icd10cm, prefixes=["R"])
    filed = chapter_18 | mesh(["C23.888"])
    symptoms = [*single([*filed, *without(symp, names(doid))])]
    others = cd.load_terminology("icd10cm", path=icd10cm, chapters=range(1, 18))
    diseases = [
        *without(doid, names(filed)),
        *without(mesh(["C", "F03"], exclude_trees=["C23.888"]) | others, names(symptoms)),
    ]
    drugbank = DATA / "drugbank_vocabulary/data/drug_names_terminology/drugbank vocabulary.csv"
    chemicals = mesh(["D01", "D02", "D03", "D04", "D09", "D10"])  # no proteins, no chemical actions
    drugs = cd.load_terminology("drugbank", path=drugbank)
    classes = mesh(["D04", "D27.505.954"])  # steroids; therapeutic uses
    return {
        "medications": list(drugs | classes),
        "substances": list(drugs | chemicals),
        "diseases": diseases,
        "symptoms": symptoms,
    }


def mesh(trees: Sequence[str], **options: Any) -> Terminology:
    return cd.load_terminology("mesh", path=DATA / "mesh_terms/data/terms.tsv", trees=trees, **options)


def names(concepts: Iterable[Concept]) -> set[str]:
    """All their names, in every writing that the rules make of them."""
    return {word_key(term.text) for term in NameRules().terms(concepts)}


def without(concepts: Iterable[Concept], taken: set[str]) -> Iterator[Concept]:
    """The concepts without the names that can be written like one of these."""
    for concept in concepts:
        if left := [term for term in concept.terms if taken.isdisjoint(names([Concept(concept.code, term)]))]:
            yield replace(concept, name=left[0], synonyms=tuple(left[1:]))


def single(concepts: Sequence[Concept]) -> Iterator[Concept]:
    """The concepts without the names that join two others ("nausea and vomiting") or add how bad one is."""
    known = names(concepts)
    for concept in concepts:
        if left := [
            term
            for term in concept.terms
            if (parts := COMPOUND.fullmatch(word_key(term))) is None
            or not known.issuperset(filter(None, parts.groups()))
        ]:
            yield replace(concept, name=left[0], synonyms=tuple(left[1:]))


def run(
    corpora: Mapping[str, list[cd.Document]], concepts: Mapping[str, list[Concept]], options: Mapping[str, Any]
) -> dict[str, Scores]:
    """Scores for each corpus, of teachers with these options in place of their own."""
    made: dict[str, cd.Teacher] = {}
    scores = {}
    for name, documents in corpora.items():
        teachers = []
        for label, parts in TEACHERS[name.split()[0]].items():
            for part, own in parts:
                merged = {"stop_lists": list(STOP_LISTS)} | own | options
                if (left := merged.pop("without", None)) is not None:
                    merged["stop_lists"] = [each for each in merged["stop_lists"] if each != left]
                key = f"{part} {label} {merged}"
                if key not in made:
                    made[key] = cd.load_teacher(
                        "terminology", terminology=concepts[part], label=label, name=part, cache=False, **merged
                    )
                teachers.append(made[key])
        silver = cd.load_aggregator("union", flat=True).combine(cd.label(documents, teachers, progress=False))
        scores[name] = cd.evaluate(documents, silver, labels=list(TEACHERS[name.split()[0]]))
    return scores


def total(scores: Mapping[str, Scores]) -> list[str]:
    """Precision, recall and F1 over all mentions of all corpora, strict and lenient."""
    cells = []
    for scheme in ("strict", "lenient"):
        all_micro = [getattr(each, scheme).micro for each in scores.values()]
        tp, fp, fn = (sum(getattr(each, count) for each in all_micro) for count in ("tp", "fp", "fn"))
        cells += [short(tp / (tp + fp)), short(tp / (tp + fn)), short(2 * tp / (2 * tp + fp + fn))]
    return cells


def short(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    aligned = f"| --- | --- |{' ---: |' * (len(head) - 2)}"
    return "\n".join([f"| {' | '.join(head)} |", aligned, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


if __name__ == "__main__":
    main(*sys.argv[1:])
