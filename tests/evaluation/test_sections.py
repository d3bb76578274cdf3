import csv
import re
from collections import Counter
from importlib import resources

import pytest

from clinidistill.evaluation.sections import find_sections
from clinidistill.settings import Settings


def names(text):
    return [section.name for section in find_sections(text)]


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("HISTORY OF PRESENT ILLNESS:", "history"),
        ("Assessment and Plan", "assessment and plan"),
        ("# Plan", "plan"),
        ("Medications:", "medications"),
        ("MEDS (on admission):", "medications"),
        ("**Allergies/Intolerances:**", "allergies"),
        ("FHx:", "family history"),
        ("PMHx", "past history"),
        ("Past Medical and Surgical History", "past history"),
        ("PHYSICAL EXAMINATION", "exam"),
        ("Labs:", "labs"),
        ("BRIEF HOSPITAL COURSE:", "hospital course"),
        ("A/P:", "assessment and plan"),
        ("Discharge Diagnoses:", "assessment"),
        ("Code status:", "code status"),
        ("## Nursing concerns", "nursing concerns"),
        ("FLUORESCEIN ANGIOGRAPHY", "fluorescein angiography"),
    ],
)
def test_a_heading_opens_a_section(heading, name):
    text = f"He is well.\n\n{heading}\nMore of it.\n"
    assert names(text) == ["(start)", name]
    assert find_sections(text)[1].start == text.index(heading)


@pytest.mark.parametrize("line", ["Allergies: NKDA", "A/P: rest, fluids", "Meds: aspirin 81 mg, and: more"])
def test_text_may_follow_a_common_name_and_a_colon(line):
    assert len(names(f"First.\n{line}\nmore")) == 2


@pytest.mark.parametrize(
    "line",
    [
        "Neck: supple",
        "NECK:",
        "MSK",
        "• Medications: aspirin",
        "- Plan: rest",
        "Her plan: to rest",
        "Blood pressure: 120/80",
        "The plan and the assessment of it and of them were these:",
        "He took his medications.",
        "medications and allergies of his mother are unknown",
        "NO",
    ],
)
def test_other_lines_open_none(line):
    assert names(f"First.\n\n{line}\nmore") == ["(start)"]


def test_capitals_open_a_section_only_where_they_stand_out():
    assert names("First.\n\nSURGICAL DRAINS\n\nTwo.") == ["(start)", "surgical drains"]
    assert names("First.\nSURGICAL DRAINS\nTwo.") == ["(start)"]
    assert names("FIRST LINE\n\nSURGICAL DRAINS\n\nTWO.") == ["(start)"]


def test_own_headings_are_cut_at_forty_characters():
    assert names(f"#{'long ' * 7}\n\nx")[0] == ("long " * 7).strip()
    assert len(names(f"# {'a' * 90}\n\nx")[0]) == 40


@pytest.mark.parametrize(
    "text", ["", "\n", "Plan:", "Plan:\r\nrest\r\nAllergies:\r\nnone", "x\n\nPLAN\n\ny", "\r\r\n# \n"]
)
def test_sections_follow_each_other_without_gaps(text):
    sections = find_sections(text)
    assert "".join(text[section.start : section.end] for section in sections) == text
    assert sections[0].start == 0


def test_the_headings_of_the_demo_notes_are_told_apart():
    """Each heading's section is known from its template, whose author had other names for some."""
    same = {
        "complaint": {"chief complaint"},
        "history": {"past history"},
        "medications": {"medications"},
        "reconciliation": {"medications"},
        "allergies": {"allergies"},
        "social": {"social history"},
        "family": {"family history"},
        "ros": {"review of systems"},
        "vitals": {"vitals"},
        "exam": {"exam"},
        "assessment": {"assessment"},
        "impression": {"assessment"},
        "plan": {"plan", "assessment and plan"},
        "labs": {"labs", "results"},
    }
    checked = 0
    for split in ("train", "test"):
        text = (resources.files("clinidistill.demo") / "templates" / f"{split}.txt").read_text(encoding="utf-8")
        for section, headings in re.findall(r"^== (\w+)\*?\n@ (.+)$", text, re.MULTILINE):
            for heading in headings.split("|") if section in same else ():
                assert names(f"{heading.strip()}:\n")[0] in same[section], heading
                checked += 1
    assert checked > 60


def test_the_headings_of_real_notes_are_found():
    folder = Settings().data / "aci_bench/data/challenge_data"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent; set CLINIDISTILL_DATA to the folder of corpora")
    with (folder / "valid.csv").open(encoding="utf-8", newline="") as file:
        notes = [row["note"] for row in csv.DictReader(file)]
    found = Counter(name for note in notes for name in set(names(note)))
    assert len(notes) == 20
    assert not found["(start)"]  # each begins with a heading
    whole = "\n".join(notes)
    for name, heading in (("chief complaint", "CHIEF COMPLAINT"), ("review of systems", "REVIEW OF SYSTEMS")):
        assert found[name] >= len(re.findall(rf"^{heading}$", whole, re.MULTILINE)) > 10
    assert found["exam"] > 15
    assert found["assessment and plan"] + found["plan"] > 15
