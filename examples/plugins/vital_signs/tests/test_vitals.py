import clinidistill as cd
import pytest
from clinidistill.testing import check_teacher

from clinidistill_vitals import VitalSigns


def marked(text, **options):
    (answer,) = VitalSigns(**options).annotate([cd.Document("n", text)])
    assert answer.error is None
    return [(text[span.start : span.end], span.code) for span in answer.spans]


def test_it_keeps_the_contract_of_teachers():
    text = "On arrival BP 142/88, HR: 96, T 38.4 C, RR 22, sats 94% on air."
    assert len(marked(text)) == 5
    check_teacher(VitalSigns(), [text, "Pulse of 61 bpm."])


def test_signs_are_marked_with_their_values_and_codes():
    assert marked("Blood pressure was 120/80 mmHg, pulse 61 bpm.") == [
        ("Blood pressure was 120/80 mmHg", "85354-9"),
        ("pulse 61 bpm", "8867-4"),
    ]
    assert marked("Temp: 101.3 F, SpO2 97%") == [("Temp: 101.3 F", "8310-5"), ("SpO2 97%", "59408-5")]


def test_what_cannot_be_a_value_is_none():
    assert marked("BP 12/10; fracture of T 12; HR 999; sats 30%; RR 0.") == []


def test_edited_rules_are_another_teacher_wherever_they_lie(tmp_path):
    rules = "[[rules]]\nname = 'pain'\ncode = '72514-3'\npattern = 'pain (\\d+)/10'\nranges = [[[0, 10]]]\n"
    for name, text in {"a": rules, "b": rules, "c": rules.replace("72514", "38208")}.items():
        (tmp_path / name).write_text(text)
    first, same, other = (VitalSigns(rules=tmp_path / name) for name in "abc")
    assert first.fingerprint == same.fingerprint != other.fingerprint
    assert marked("Pain 7/10, pain 70/10", rules=tmp_path / "a") == [("Pain 7/10", "72514-3")]


@pytest.mark.parametrize("text", ["", "rules = 3", "[[rules]]\nname = 'x'\ncode = '1'\npattern = '('\nranges = []"])
def test_rules_that_cannot_be_used_are_refused(tmp_path, text):
    (tmp_path / "rules.toml").write_text(text)
    with pytest.raises(cd.errors.OptionError, match="no rules that can be used"):
        VitalSigns(rules=tmp_path / "rules.toml")


def test_it_is_found_by_its_name():
    assert type(cd.load_teacher("vitals")) is VitalSigns
