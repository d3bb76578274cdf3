import gzip
import json
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill.grounding import ground_markup, locate_markup, status_counts
from clinidistill.settings import Settings
from clinidistill.types import Span

NOTE = "No fever on Monday. BP < 90, fever > 39 & cough on Tuesday."


def marked(text, repeated, **options):
    """(label, what stands there, status) of each mark."""
    return [
        (g.span and g.span.label, g.span and text[g.span.start : g.span.end], g.status)
        for g in locate_markup(text, repeated, **options)
    ]


@pytest.mark.parametrize(
    "tag",
    [
        ('<span class="sign">', "</span>"),
        ("<span class='sign'>", "</span>"),
        ("<span class=sign>", "</span >"),
        ("<sign>", "</sign>"),
        ('<b class="sign">', "</b>"),
        ('<entity type="sign">', "</entity>"),
        ("<sign>", "</span>"),
        ('<SPAN id="1" CLASS="sign">', "</span>"),
    ],
)
def test_any_tag_gives_its_class_or_its_name(tag):
    start, end = tag
    repeated = NOTE.replace("fever >", f"{start}fever{end} >")
    (span,) = ground_markup(NOTE, repeated)
    assert span == Span(29, 34, "sign", status="exact")


def test_the_occurrence_that_was_marked_is_the_one():
    first = NOTE.replace("No fever", "No <a1>fever</a1>")
    second = "no fever on monday; BP <90, <a1>fever</a1> >39 and cough, on Tuesday"
    assert [span.start for span in ground_markup(NOTE, first)] == [3]
    assert [span.start for span in ground_markup(NOTE, second)] == [29]


def test_a_bare_less_than_sign_and_what_stands_in_the_text_are_no_tags():
    text = "BP < 90 and <unknown> fever"
    assert marked(text, "BP < 90 and <unknown> <x>fever</x>") == [("x", "fever", "exact")]
    assert marked(NOTE, NOTE) == []


def test_entities_that_the_model_put_in_are_read():
    repeated = NOTE.replace("&", "&amp;").replace("<", "&lt;").replace("cough", "<x>cough</x>")
    assert marked(NOTE, repeated) == [("x", "cough", "exact")]
    assert marked("a &amp; b", "a &amp; <x>b</x>") == [("x", "b", "exact")]


def test_nested_stray_and_unclosed_tags_do_no_harm():
    text = "type 2 diabetes mellitus with cough and fever"
    repeated = "<p><d>type 2 <s>diabetes</s> mellitus</d> with</x> <c>cough and <e>fever</e></p>"
    assert marked(text, repeated) == [
        ("d", "type 2 diabetes mellitus", "exact"),
        ("s", "diabetes", "exact"),
        (None, None, "lost"),
        ("e", "fever", "exact"),
    ]


def test_only_the_labels_asked_for_count():
    text = "cough and fever"
    repeated = "<Sign>cough</Sign><br> and <em>fever</em><other>"
    assert marked(text, repeated, labels=["sign", "em"]) == [("sign", "cough", "exact"), ("em", "fever", "exact")]


@pytest.mark.parametrize(
    ("text", "repeated", "there"),
    [
        ("CRP was elevated at 10 . 5 .", "CRP was elevated at <x>10.5</x>.", ("x", "10 . 5", "normalised")),
        ("IVIG for 3days and PT", "IVIG for <x>3 days</x> and PT", ("x", "3days", "normalised")),
        ("Grip stength decreased", "<x>Grip strength</x> decreased", ("x", "Grip stength", "fuzzy")),
        ("had a seizures at noon", "had a <x>seizure</x>s at noon", ("x", "seizures", "normalised")),
        ("at rehab facility now", "at <x>rehabilitation center</x> now", (None, None, "lost")),
        ("dose was 10 5 mg", "dose was <x>10.5</x> mg", (None, None, "lost")),
        ("had fever", "had <x> fever </x>", ("x", "fever", "exact")),
        ("had (fever).", "had <x>(fever)</x>", ("x", "(fever)", "exact")),
        ("had fever", "Here it is: had <x>fever</x>", ("x", "fever", "exact")),
    ],
)
def test_a_repetition_that_is_not_exact_is_aligned(text, repeated, there):
    assert marked(text, repeated) == [there]


def test_a_repetition_of_another_text_is_lost_altogether():
    repeated = (
        "The man was well until <x>fever</x> and <y>cough</y> began after his holiday in the mountains last year."
    )
    assert {status for _, _, status in marked(NOTE, repeated)} == {"lost"}


@given(st.text("ab <>/x=\"'&;\n", max_size=60), st.text("ab <>/x=\"'&;\n", max_size=60))
@settings(max_examples=60, deadline=None)
def test_whatever_is_repeated_spans_lie_in_the_text(text, repeated):
    for grounding in locate_markup(text, repeated):
        if grounding.span is not None:
            assert text[grounding.span.start : grounding.span.end].strip()


@given(st.lists(st.sampled_from(["fever", "no", "cough,", "5 mg", "–", "and"]), min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_marks_on_words_of_an_exact_repetition_are_found_where_they_are(words, data):
    at = data.draw(st.integers(0, len(words) - 1))
    text = " ".join(words)
    before = " ".join([*words[:at], ""]) if at else ""
    (span,) = ground_markup(text, f"{before}<x>{words[at]}</x>{text[len(before) + len(words[at]) :]}")
    assert span == Span(len(before), len(before) + len(words[at]), "x", status="exact")


@pytest.mark.alone
@pytest.mark.parametrize(
    "repeated",
    ["<x>" * 50_000, "<x>a</y>" * 10_000, "</x>" * 50_000, "<" * 1_000_000, "<x " * 100_000, "<x>fever " * 5_000],
    ids=["open", "mismatched", "closed", "signs", "broken", "unclosed"],
)
def test_hostile_markup_takes_seconds_at_most(repeated):
    started = time.process_time()
    locate_markup(NOTE, repeated)
    assert time.process_time() - started < 10


@pytest.fixture(scope="module")
def recorded():
    """(text, answer) of every recorded answer, if the recordings are there."""
    folder = Settings().data / "recorded_llm_vaers"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; see docs/data.md")
    with gzip.open(folder / "gold.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = {note["id"]: note["text"] for note in map(json.loads, lines) if note["split"] == "test"}
    with gzip.open(folder / "responses.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [(texts[answer["id"]], answer["response"]) for answer in map(json.loads, lines)]


def test_all_but_a_few_marks_of_recorded_answers_are_found(recorded):
    assert len(recorded) == 2860
    counts = Counter()
    for text, answer in recorded:
        grounded = locate_markup(text, answer)
        counts.update(status_counts(grounded))
        for one in grounded:
            if one.status == "exact":
                assert text[one.span.start : one.span.end] == one.mention
    assert counts["exact"] >= 3570
    assert counts["normalised"] + counts["fuzzy"] >= 40
    assert counts["lost"] <= 3


def test_recorded_answers_for_another_passage_are_lost(recorded):
    shifted = [(text, answer) for (text, _), (_, answer) in zip(recorded, recorded[1:], strict=False)]
    counts = Counter()
    for text, answer in shifted:
        counts.update(status_counts(locate_markup(text, answer)))
    assert counts["lost"] / counts.total() > 0.98
