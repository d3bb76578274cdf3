import gzip
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinidistill.llm.parsing import parse
from clinidistill.settings import Settings

LABELS = ["medication", "disease", "symptom"]
TWO = [("aspirin", "medication"), ("chest pain", "symptom")]
CLEAN = '{"mentions": [{"text": "aspirin", "label": "medication"}, {"text": "chest pain", "label": "symptom"}]}'


def _said(parsed):
    return [(mention.text, mention.label) for mention in parsed.mentions]


@pytest.mark.parametrize(
    "answer",
    [
        {"mentions": [{"text": "aspirin", "label": "medication"}, {"text": "chest pain", "label": "symptom"}]},
        {"entities": [{"entity": "aspirin", "type": "Medication"}, {"entity": "chest pain", "type": "SYMPTOM"}]},
        [{"name": "aspirin", "category": "medications"}, {"name": "chest pain", "category": "Symptoms"}],
        [{"Text": "aspirin", "Entity_Type": "medication"}, {"Text": "chest pain", "entityType": "symptom"}],
        [{"entity": "medication", "value": "aspirin"}, {"entity": "symptom", "value": "chest pain"}],
        [{"entity": "MEDICATION", "word": "aspirin"}, {"entity": "SYMPTOM", "word": "chest pain"}],
        {"medication": ["aspirin"], "disease": [], "symptom": ["chest pain"]},
        {"Medications": "aspirin", "Diseases": None, "symptoms": [{"text": "chest pain", "start": 3}]},
        {"Medications": "aspirin", "diseases": "None", "Symptoms": {"mention": "chest pain"}},
        {"mentions": {"medications": [{"name": "aspirin", "type": "NSAID"}], "symptoms": ["chest pain"]}},
        {"extractions": [{"medication": "aspirin", "medication_attributes": {"dose": "1"}}, {"symptom": "chest pain"}]},
        {"extractions": [{"extraction_class": "medication", "extraction_text": "aspirin", "attributes": {"dose": "1"}},
                         {"extraction_class": "symptom", "extraction_text": "chest pain"}]},
        [["aspirin", "medication"], ["symptom", "chest pain"]],
        {"aspirin": "medication", "chest pain": "symptom"},
        {"result": {"data": {"output": [{"span": "aspirin", "class": "medication"},
                                        {"quote": "chest pain", "label": "symptom"}]}}},
        {"answer": CLEAN},
        json.dumps([["aspirin", "medication"], ["chest pain", "symptom"]]),
        {"text": "The whole note again", "entities": [["aspirin", "medication"], ["chest pain", "symptom"]]},
        {"reasoning": "Two.", "mentions": [["aspirin", "medication"], ["chest pain", "symptom"]], "notes": []},
        [{"mentions": [["aspirin", "medication"]]}, {"mentions": [["chest pain", "symptom"]]}],
    ],
    ids=lambda answer: json.dumps(answer)[:40],
)  # fmt: skip
def test_the_shapes_that_models_answer_in_are_understood(answer):
    parsed = parse(json.dumps(answer), LABELS)
    assert _said(parsed) == TWO
    assert (parsed.outcome, parsed.dropped, parsed.failed) == ("clean", 0, False)


def test_repeated_keys_with_lists_lose_nothing():
    assert _said(parse('{"medication": ["aspirin"], "symptom": [], "symptom": ["chest pain"]}', LABELS)) == TWO


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (CLEAN, "clean"),
        (f"\n {CLEAN}\n", "clean"),
        ('{"text": "aspirin", "label": "medication"}\n{"text": "chest pain", "label": "symptom"}\n', "clean"),
        (CLEAN.replace("chest pain", "chest\\u0020pain"), "clean"),
        (f"```json\n{CLEAN}\n```", "prose"),
        (f"Here are the entities [as asked]:\n\n```\n{CLEAN}\n```\nLet me know if you need more {{details}}!", "prose"),
        (f"I found two: {CLEAN} That is all (2).", "prose"),
        (f"<think>The note says {{pain}}. [{CLEAN[:40]}</think>\n\n{CLEAN}", "prose"),
        (f"First I look for drugs.\n</think>\n{CLEAN}", "prose"),
        ('Medications: ["aspirin"]. All: {"medication": ["aspirin"]} and {"symptom": ["chest pain"]}', "prose"),
        (CLEAN[:-2], "repaired"),
        (CLEAN[:-2] + ', {"text": "fev', "repaired"),
        (CLEAN.replace('"', "'"), "repaired"),
        (CLEAN.replace("}, {", "} {"), "repaired"),
        (CLEAN.replace("}]}", "},]}"), "repaired"),
        ("{mentions: [{text: 'aspirin', label: 'medication'}, {text: 'chest pain', label: 'symptom'}]}", "repaired"),
        (f"Sure!\n```json\n{CLEAN[:-1]}", "repaired"),
        ("[('aspirin', 'medication'), ('chest pain', 'symptom')]", "repaired"),
        (CLEAN.replace('"}', '"} // found in HPI\n', 1), "repaired"),
    ],
)
def test_what_was_wrong_with_an_answer_is_told_and_its_mentions_are_had(answer, outcome):
    parsed = parse(answer, LABELS)
    assert _said(parsed)[:2] == TWO
    assert (parsed.outcome, parsed.failed) == (outcome, False)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("<think>Hmm, {", "empty"),
        ("<think>Nothing.</think>\n", "empty"),
        ("I cannot help with medical records.", "garbled"),
        ("aspirin (medication), chest pain [symptom]", "garbled"),
        ("null", "garbled"),
        ("{}", "schema"),
        ("42", "schema"),
        ('"aspirin"', "schema"),
        ('["aspirin", "chest pain"]', "schema"),
        ('{"error": "no"}', "schema"),
        ('{"mentions": [1, 2]}', "schema"),
        ('{"mentions": {"type": "array", "items": {"type": "object"}}}', "schema"),
        ('Well: {"a": {"b": 1}}', "schema"),
        ('{"a": {"b": 1', "schema"),
        (json.dumps({"type": "object", "properties": {"mentions": {"type": "array", "items": {"type": "object",
                     "properties": {"text": {"type": "string"}, "label": {"enum": LABELS}}}}}}), "schema"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_fails(answer, outcome):
    parsed = parse(answer, LABELS)
    assert (parsed.outcome, parsed.mentions, parsed.markup, parsed.failed) == (outcome, (), None, True)


@pytest.mark.parametrize(
    "answer", ['{"mentions": []}', "[]", '{"entities": null}', '{"medication": [], "symptom": []}']
)
def test_that_there_are_no_mentions_is_an_answer(answer):
    parsed = parse(answer, LABELS)
    assert (parsed.outcome, parsed.mentions, parsed.dropped, parsed.failed) == ("clean", (), 0, False)


@pytest.mark.parametrize(
    ("answer", "dropped"),
    [
        ('{"mentions": [{"text": "x", "label": "procedure"}, {"text": "aspirin", "label": "medication"}]}', 1),
        (
            '{"mentions": [{"text": 7, "label": "symptom"}, {"text": "aspirin", "label": "medication"}, null, "x", 3]}',
            4,
        ),
        ('{"mentions": [{"text": " ", "label": "symptom"}, {"text": "aspirin", "label": "medication"}]}', 1),
        ('{"medication": ["aspirin", 5], "procedure": ["ECG", "MRI"]}', 3),
        ('{"medication": ["aspirin", {"start": 3, "end": 9}]}', 1),
    ],
)
def test_what_cannot_be_a_mention_is_dropped_and_counted(answer, dropped):
    parsed = parse(answer, LABELS)
    assert (_said(parsed), parsed.dropped, parsed.outcome) == (TWO[:1], dropped, "clean")


def test_mentions_of_unknown_labels_alone_are_an_answer_without_mentions():
    parsed = parse('[{"text": "ECG", "label": "procedure"}]', LABELS)
    assert (parsed.mentions, parsed.dropped, parsed.outcome) == ((), 1, "clean")


def test_the_only_label_need_not_be_said():
    assert _said(parse('{"mentions": ["HTN", {"text": "DM2"}]}', ["disease"])) == [
        ("HTN", "disease"),
        ("DM2", "disease"),
    ]


def test_labels_that_look_alike_are_told_apart_by_their_exact_spelling():
    assert _said(parse('{"drug": ["a"], "drugs": ["b"]}', ["drug", "drugs"])) == [("a", "drug"), ("b", "drugs")]
    assert parse('[{"text": "a", "label": "Drugs"}]', ["drug", "drugs"]).dropped == 1


@pytest.mark.parametrize("said", ["nervous_AE", "Nervous AE", "nervous-ae", "nervous AEs", "NervousAE"])
def test_labels_are_known_in_any_case_spacing_and_number(said):
    assert _said(parse(json.dumps({said: ["tingling"]}), ["other_AE", "nervous_AE"])) == [("tingling", "nervous_AE")]


@pytest.mark.parametrize(
    ("keys", "claim"),
    [
        ({"start": 4, "end": 11}, (4, 11)),
        ({"start_offset": 4, "end_offset": 11}, (4, 11)),
        ({"begin": 4, "stop": 11}, (4, 11)),
        ({"char_start": 4, "CharEnd": 11}, (4, 11)),
        ({"start": "4", "end": 11.0}, (None, None)),
        ({"start": True, "end": -1}, (None, None)),
        ({"start": 10**30, "end": 11}, (None, 11)),
    ],
)
def test_offsets_are_claims_and_whole_numbers(keys, claim):
    (mention,) = parse(json.dumps([{"text": "aspirin", "label": "medication", **keys}]), LABELS).mentions
    assert (mention.start, mention.end) == claim


@pytest.mark.parametrize("ascii_only", [True, False])
@given(texts=st.lists(st.text(min_size=1, max_size=8).filter(str.strip), max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_place_of_a_mention_is_where_the_answer_quotes_it(ascii_only, texts):
    answer = json.dumps({"mentions": [{"text": t, "label": "symptom"} for t in texts]}, ensure_ascii=ascii_only)
    parsed = parse(answer, LABELS)
    assert [mention.text for mention in parsed.mentions] == texts
    places = [mention.place for mention in parsed.mentions]
    assert [json.loads(f'"{answer[start:end]}"') for start, end in places] == texts
    assert places == sorted(places)


def test_places_count_from_the_beginning_of_the_whole_answer():
    answer = f'<think>"aspirin"?</think>Well: {CLEAN}'
    assert [answer[m.place[0] : m.place[1]] for m in parse(answer, LABELS).mentions] == ["aspirin", "chest pain"]
    assert parse(answer, LABELS).mentions[0].place[0] > answer.index("Well")


def test_a_quotation_that_does_not_stand_there_as_json_writes_it_has_no_place():
    first, second = parse(r'[["a\/b", "symptom"], ["c", "symptom"]]', LABELS).mentions
    assert (first.text, first.place) == ("a/b", None)
    assert second.place is not None


MARKED = 'Took <span class="medication">aspirin</span> for <span class="symptom">chest pain</span>.'


@pytest.mark.parametrize(
    ("answer", "format", "markup", "outcome"),
    [
        (MARKED, "auto", MARKED, "clean"),
        (f"[**2101-1-1**] {MARKED}", "auto", f"[**2101-1-1**] {MARKED}", "clean"),
        ("Took <Medication>aspirin</Medication>.", "auto", "Took <Medication>aspirin</Medication>.", "clean"),
        (f"```html\n{MARKED}\n```", "auto", MARKED, "prose"),
        (f"<note>\n{MARKED}\n</note>", "markup", MARKED, "prose"),
        (f"<think>So.</think>{MARKED}", "auto", MARKED, "prose"),
        ("No mention here.", "markup", "No mention here.", "clean"),
        ("[1]", "markup", "[1]", "clean"),
    ],
)
def test_a_marked_up_note_is_handed_on(answer, format, markup, outcome):
    parsed = parse(answer, LABELS, format)
    assert (parsed.markup, parsed.outcome, parsed.mentions, parsed.failed) == (markup, outcome, (), False)


@pytest.mark.parametrize(
    ("answer", "format"), [(MARKED, "json"), ('<span class="other">x</span>', "auto"), ("x", "auto")]
)
def test_markup_that_was_not_asked_for_or_has_no_known_tag_is_garbled(answer, format):
    assert parse(answer, LABELS, format).outcome == "garbled"


@pytest.mark.parametrize("answer", ["", "```\n\n```", "<note></note>", "<think>x"])
def test_nothing_where_markup_was_asked_for_is_empty(answer):
    assert parse(answer, LABELS, "markup").outcome == "empty"


def test_tags_inside_json_are_text():
    answer = json.dumps({"mentions": [{"text": '<span class="symptom">', "label": "symptom"}]})
    assert _said(parse(answer, LABELS)) == [('<span class="symptom">', "symptom")]


def test_too_many_mentions_are_dropped_and_counted():
    parsed = parse(json.dumps({"symptom": ["pain"] * 10_100}), LABELS)
    assert (len(parsed.mentions), parsed.dropped) == (10_000, 100)


def test_a_truncated_answer_too_long_to_repair_keeps_its_whole_mentions():
    answer = '{"mentions": [' + '{"text": "pain", "label": "symptom"}, ' * 9_000 + '{"text": "pa'
    parsed = parse(answer, LABELS)
    assert (len(parsed.mentions), parsed.outcome) == (9_000, "repaired")


MEGA = 1_000_000


@pytest.mark.alone
@pytest.mark.parametrize(
    "answer",
    ["x" * 10 * MEGA, " " * 10 * MEGA, "[" * MEGA, "{" * 150_000, '{"a":' * MEGA, "[[" * 99_000 + "]]" * 99_000,
     "<" * MEGA, "<a " * MEGA, '<a class="' * 100_000, "`" * MEGA, "```\n" * 100_000, "```\n" + " " * MEGA, '"' * MEGA,
     "[1," * 300_000, "[1" * 300_000, f"[{'1' * 5000}]", f"[{'1' * 5000}" * 100, "[NaN, Infinity, -Infinity]",
     '{"text": NaN, "label": 1e999}', '["\\ud800", "symptom"]', "\ud800" * 1000, "\x00" * 1000, '[["a"], ' * 20_000,
     '{"mentions": [' + '{"text": "not here\\/", "label": "symptom"}, ' * 20_000 + "{}]}", "{'a" * 60_000,
     '{"a' * 60_000, '[{"text": "a", "label": ' * 8_000, "/*" * 90_000, '{"a":"' + "\\" * 150_000, "(" * 90_000,
     '["a",' + "'" * 150_000, '["' + "{]“" * 30_000, '["' + "null{]\\" * 20_000, '{"mentions": [' + "{\\)1" * 30_000,
     "<think>" * 100_000, "[**" * 100_000, "{a:" * 60_000, "(" * 40 + '{"a' * 40],
    ids=lambda answer: repr(answer[:16]) + str(len(answer)),
)  # fmt: skip
@pytest.mark.parametrize("format", ["auto", "markup"])
def test_hostile_answers_end_in_time(answer, format):
    begin = time.perf_counter()
    parsed = parse(answer, LABELS, format)
    assert time.perf_counter() - begin < 6
    assert len(parsed.mentions) <= 10_000


PIECES = st.sampled_from(
    ["{", "}", "[", "]", '"', "'", ",", ":", "\\", "text", "label", '"text": ', '"label": ', "symptom", '"symptom"',
     "mentions", "null", "1", "-", "e9", "NaN", "```", "<think>", "</think>", '<span class="symptom">', "</span>",
     "\n", " ", "\ud800", "é",
     '{"text": "x", "label": "symptom"}', "//", "/*", "(", "“"]
)  # fmt: skip
JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.sampled_from(LABELS)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(["text", "label", "entity", "mentions", "symptom", "type", "x", "start"]), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@given(answer=st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join), JSONS.map(json.dumps)),
       format=st.sampled_from(["auto", "json", "markup"]))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_every_answer_has_an_outcome_and_only_the_tasks_labels(answer, format):
    parsed = parse(answer, LABELS, format)
    assert all(mention.label in LABELS and mention.text.strip() for mention in parsed.mentions)
    assert all(m.place is None or 0 <= m.place[0] < m.place[1] <= len(answer) for m in parsed.mentions)
    assert not (parsed.failed and (parsed.mentions or parsed.markup is not None))
    assert (parsed.markup is None) or not parsed.mentions
    assert parsed.dropped >= 0


def test_answers_of_real_models_are_understood_as_markup():
    path = Settings().data / "recorded_llm_vaers" / "responses.jsonl.gz"
    if not path.exists():
        pytest.skip(f"no recorded answers at {path}; set CLINIDISTILL_DATA")
    labels = ["investigation", "nervous_AE", "other_AE", "procedure"]
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        answers = [json.loads(line)["response"] for line in lines]
    assert len(answers) == 2_860
    for answer in answers:
        parsed = parse(answer, labels, "markup")
        assert (parsed.markup, parsed.outcome) == (answer, "clean")
        if any(f'class="{label}"' in answer for label in labels):
            assert parse(answer, labels).markup == answer
