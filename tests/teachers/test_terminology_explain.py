"""Why a terminology teacher marked a name, or did not."""

import clinidistill as cd
from clinidistill.terminologies import Concept

NOTE = cd.Document("n", "Iron low, lung tumors, brain tumour. Fever. Acute heart failure (AHF); AHF again. AML.")


def teacher(**options):
    concepts = [
        Concept(each, each) for each in ("iron", "lung tumor", "brain tumor", "tumor", "fever", "heart failure")
    ]
    return cd.load_teacher("terminology", terminology=concepts, label="x", cache=False, **options)


def told(explained):
    return {(NOTE.text[each.start : each.end], each.code): (each.kept, each.reason, each.rule) for each in explained}


def test_every_span_is_explained_and_nothing_else_is_kept():
    marked = teacher()
    kept = [(each.start, each.end, each.code) for each in marked.explain(NOTE) if each.kept]
    assert kept == [(span.start, span.end, span.code) for span in marked.label_document(NOTE)]
    assert len(kept) == 6


def test_reasons_name_evidence_overlaps_variants_and_dropped_names():
    reasons = told(teacher(stop_terms=["fever"]).explain(NOTE))
    assert reasons["Iron", "iron"] == (False, "ambiguous, no evidence", "")
    assert reasons["lung tumors", "lung tumor"] == (True, "a name", "plurals")
    assert reasons["brain tumour", "brain tumor"] == (True, "a name", "spellings")
    assert reasons["tumors", "tumor"] == (False, "overlaps a longer or better match at 10-21", "plurals")
    assert reasons["Fever", "fever"] == (False, "not looked for, a stop term", "")
    assert reasons["AHF", "heart failure"][:2] == (True, "an abbreviation that the note defines")
    assert not [mention for mention, _ in reasons if mention == "AML"]


def test_an_explanation_holds_nothing_of_the_note():
    (one,) = teacher().explain(cd.Document("n", "FeVeR"))
    assert "FeVeR" not in repr(one) + str(one)


def test_each_rule_is_visible_in_the_fingerprint():
    switches = ("plurals", "spellings", "unqualified", "synonyms", "word_order", "joined", "adjectives", "definitions")
    changed = [{each: False} for each in switches] + [
        {"evidence": ["dose"]},
        {"stop_lists": ["everyday"]},
        {"min_length": 2},
    ]
    prints = {teacher(**options).fingerprint for options in [{}, *changed]}
    assert len(prints) == len(changed) + 1
