import pytest

from clinidistill.errors import DataError
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, load_terminology

FILE = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.tabular>
  <version>2026</version>
  <chapter><name>1</name><desc>Infections</desc>
    <section id="A00-A09"><desc>Intestinal</desc>
      <diag><name>A00</name><desc>Cholera</desc></diag>
    </section>
  </chapter>
  <chapter><name>18</name><desc>Symptoms</desc>
    <section id="R00-R09"><desc>Circulatory</desc><inclusionTerm><note>of the section</note></inclusionTerm>
      <diag><name>R07</name><desc>Pain in throat &amp; chest</desc>
        <excludes1><note>epidemic myalgia</note></excludes1>
        <diag><name>R07.1</name><desc>Chest pain on breathing</desc>
          <inclusionTerm><note>Painful
            respiration</note><note>Painful breath</note></inclusionTerm></diag>
      </diag>
    </section>
  </chapter>
</ICD10CM.tabular>
"""
TYPES = frozenset({"chapter 18", "R00-R09"})
SYMPTOMS = [
    Concept("R07", "Pain in throat & chest", (), TYPES),
    Concept("R07.1", "Chest pain on breathing", ("Painful respiration", "Painful breath"), TYPES),
]


def read(tmp_path, text=FILE, **options):
    path = tmp_path / "icd.xml"
    path.write_text(text, encoding="utf-8")
    return list(load_terminology("icd10cm", path=path, **options))


def test_codes_of_all_levels_come_with_inclusion_terms_parents_first(tmp_path):
    assert read(tmp_path)[1:] == SYMPTOMS


def test_chapters_and_prefixes_choose_the_codes(tmp_path):
    assert read(tmp_path, chapters=["18"]) == read(tmp_path, prefixes=["r"]) == SYMPTOMS
    assert [concept.code for concept in read(tmp_path, chapters=[1, 18], prefixes=["R07.", "A"])] == ["A00", "R07.1"]


def test_asking_for_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no codes of the chapters"):
        read(tmp_path, chapters=["R"])


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (
            '<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "aa">]>\n<ICD10CM.tabular>&a;</ICD10CM.tabular>',
            2,
            "DOCTYPE",
        ),
        (FILE[:-60], 16, "not well-formed"),
        ("<ICD10CM.index/>", 1, "not the index"),
        (FILE.replace("<name>A00</name>", ""), 6, "without <name>"),
    ],
)
def test_a_bad_file_names_file_and_line(tmp_path, text, line, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, text)
    assert (caught.value.path, caught.value.line) == (tmp_path / "icd.xml", line)


def test_the_real_tabular_list_has_all_its_codes():
    path = Settings().data / "icd10cm_2026/simple_icd_10_cm/data/icd10c-tabular-April-1-2026.xml"
    if not path.exists():
        pytest.skip("icd10cm_2026 is not in $CLINIDISTILL_DATA")
    text = path.read_text(encoding="utf-8")
    codes = [concept.code for concept in load_terminology("icd10cm", path=path)]
    assert len(codes) == text.count("<diag>") + text.count("<diag ")
    symptoms = {concept.code: concept for concept in load_terminology("icd10cm", path=path, prefixes=["R"])}
    assert symptoms["R07.1"].synonyms == ("Painful respiration",)
    assert symptoms.keys() == {c.code for c in load_terminology("icd10cm", path=path, chapters=["18"])}
