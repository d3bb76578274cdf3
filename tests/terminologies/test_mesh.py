import csv
import gzip

import pytest

from clinidistill.errors import DataError
from clinidistill.settings import Settings
from clinidistill.terminologies import Concept, Terminology, load_terminology
from clinidistill.terminologies.mesh import Mesh

DESCRIPTORS_XML = """<?xml version="1.0"?>
<!DOCTYPE DescriptorRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmdescriptorrecordset_20260101.dtd">
<DescriptorRecordSet LanguageCode = "eng">
<DescriptorRecord DescriptorClass = "1">
  <DescriptorUI>D000001</DescriptorUI>
  <DescriptorName>
   <String>Calcimycin</String>
  </DescriptorName>
  <AllowableQualifiersList>
   <AllowableQualifier>
    <QualifierReferredTo>
     <QualifierUI>Q000008</QualifierUI>
      <QualifierName>
      <String>administration &amp; dosage</String>
      </QualifierName>
    </QualifierReferredTo>
    <Abbreviation>AD</Abbreviation>
   </AllowableQualifier>
  </AllowableQualifiersList>
  <TreeNumberList>
   <TreeNumber>D03.633.100.221.173</TreeNumber>
  </TreeNumberList>
  <ConceptList>
   <Concept PreferredConceptYN="Y">
    <ConceptUI>M0000001</ConceptUI>
    <ConceptName>
     <String>Calcimycin</String>
    </ConceptName>
    <CASN1Name>4-Benzoxazolecarboxylic acid, 5-(methylamino)-, (6S-(6alpha))-</CASN1Name>
    <ScopeNote>An ionophorous, polyether antibiotic.
    </ScopeNote>
    <TermList>
     <Term  ConceptPreferredTermYN="Y"  IsPermutedTermYN="N"  LexicalTag="NON"  RecordPreferredTermYN="Y">
      <TermUI>T000002</TermUI>
      <String>Calcimycin</String>
     </Term>
    </TermList>
   </Concept>
   <Concept PreferredConceptYN="N">
    <ConceptUI>M0353609</ConceptUI>
    <ConceptName>
     <String>A-23187</String>
    </ConceptName>
    <TermList>
     <Term  ConceptPreferredTermYN="Y"  IsPermutedTermYN="N"  LexicalTag="LAB"  RecordPreferredTermYN="N">
      <TermUI>T000001</TermUI>
      <String>A-23187</String>
     </Term>
     <Term  IsPermutedTermYN="Y"  LexicalTag="NON">
      <TermUI>T000003</TermUI>
      <String>A23187, Antibiotic</String>
     </Term>
    </TermList>
   </Concept>
  </ConceptList>
 </DescriptorRecord>
<DescriptorRecord DescriptorClass = "1">
  <DescriptorUI>D006505</DescriptorUI>
  <DescriptorName>
   <String>Hepatitis</String>
  </DescriptorName>
  <SeeRelatedList>
   <SeeRelatedDescriptor>
    <DescriptorReferredTo>
     <DescriptorUI>D008107</DescriptorUI>
      <DescriptorName>
       <String>Liver Diseases</String>
      </DescriptorName>
    </DescriptorReferredTo>
   </SeeRelatedDescriptor>
  </SeeRelatedList>
  <TreeNumberList>
   <TreeNumber>C06.552.380</TreeNumber>
   <TreeNumber>C23.888.100</TreeNumber>
  </TreeNumberList>
  <ConceptList>
   <Concept PreferredConceptYN="Y">
    <ConceptUI>M0010242</ConceptUI>
    <ConceptName>
     <String>Hepatitis</String>
    </ConceptName>
    <TermList>
     <Term  ConceptPreferredTermYN="Y"  IsPermutedTermYN="N"  LexicalTag="NON"  RecordPreferredTermYN="Y">
      <TermUI>T019670</TermUI>
      <String>Hepatitis</String>
     </Term>
     <Term  ConceptPreferredTermYN="N"  IsPermutedTermYN="N"  LexicalTag="NON"  RecordPreferredTermYN="N">
      <TermUI>T1</TermUI>
      <String>Liver Inflammation</String>
     </Term>
     <Term  IsPermutedTermYN="Y"  LexicalTag="NON">
      <TermUI>T1</TermUI>
      <String>Inflammation, Liver</String>
     </Term>
    </TermList>
   </Concept>
  </ConceptList>
 </DescriptorRecord>
</DescriptorRecordSet>
"""
DESCRIPTORS_ASCII = """*NEWRECORD
RECTYPE = D
MH = Calcimycin
AQ = AA AD
N1 = 4-Benzoxazolecarboxylic acid, 5-(methylamino)-, (6S-(6alpha))-
PRINT ENTRY = A-23187|T109|T195|LAB|NRW|NLM (1991)|900308|abbcdef
ENTRY = A23187, Antibiotic
MN = D03.633.100.221.173
MS = An ionophorous, polyether antibiotic = such as this.
UI = D000001

*NEWRECORD
RECTYPE = D
MH = Hepatitis
ENTRY = Liver Inflammation|T047|NON|EQV|NLM (2005)|040701|abcdef
ENTRY = Inflammation, Liver
MN = C06.552.380
MN = C23.888.100
FX = Liver Diseases
RR =
UI = D006505
"""
CALCIMYCIN = Concept(
    "D000001",
    "Calcimycin",
    (
        *("4-Benzoxazolecarboxylic acid, 5-(methylamino)-, (6S-(6alpha))-", "A-23187", "A23187, Antibiotic"),
        "Antibiotic A23187",
    ),
    frozenset({"D03.633.100.221.173"}),
)
HEPATITIS = Concept(
    "D006505",
    "Hepatitis",
    ("Liver Inflammation", "Inflammation, Liver"),
    frozenset({"C06.552.380", "C23.888.100"}),
)
SUPPLEMENT_XML = """<?xml version="1.0"?>
<!DOCTYPE SupplementalRecordSet SYSTEM "https://www.nlm.nih.gov/databases/dtd/nlmsupplementalrecordset_20260101.dtd">
<SupplementalRecordSet LanguageCode = "eng">
<SupplementalRecord SCRClass = "1">
  <SupplementalRecordUI>C000002</SupplementalRecordUI>
  <SupplementalRecordName>
   <String>bevonium</String>
  </SupplementalRecordName>
  <HeadingMappedToList>
   <HeadingMappedTo>
    <DescriptorReferredTo>
     <DescriptorUI>*D001561</DescriptorUI>
      <DescriptorName>
       <String>Benzilates</String>
      </DescriptorName>
    </DescriptorReferredTo>
   </HeadingMappedTo>
  </HeadingMappedToList>
  <ConceptList>
   <Concept PreferredConceptYN="Y">
    <ConceptUI>M0069345</ConceptUI>
    <ConceptName>
     <String>bevonium</String>
    </ConceptName>
    <TermList>
     <Term  ConceptPreferredTermYN="Y"  IsPermutedTermYN="N"  LexicalTag="NON"  RecordPreferredTermYN="Y">
      <TermUI>T113026</TermUI>
      <String>bevonium</String>
     </Term>
     <Term  ConceptPreferredTermYN="N"  IsPermutedTermYN="N"  LexicalTag="NON"  RecordPreferredTermYN="N">
      <TermUI>T116</TermUI>
      <String>Acabel</String>
     </Term>
    </TermList>
   </Concept>
  </ConceptList>
 </SupplementalRecord>
</SupplementalRecordSet>
"""
SUPPLEMENT_ASCII = """*NEWRECORD
RECTYPE = C
NM = bevonium
SY = Acabel|T109|TRD|EQV|NLM (2000)|000101|abcdef
HM = *Benzilates
UI = C000002
"""
BEVONIUM = Concept("C000002", "bevonium", ("Acabel",))


def read(tmp_path, text, file="mesh", **options):
    path = tmp_path / file
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(load_terminology("mesh", path=path, **options))


@pytest.mark.parametrize("text", [DESCRIPTORS_XML, DESCRIPTORS_ASCII], ids=["xml", "ascii"])
@pytest.mark.parametrize("packed", [str.encode, lambda text: gzip.compress(text.encode())], ids=["plain", "gz"])
def test_descriptors_come_with_entry_terms_and_tree_numbers_from_either_format(tmp_path, text, packed):
    file = "mesh.gz" if packed is not str.encode else "mesh"
    assert read(tmp_path, packed(text), file) == [CALCIMYCIN, HEPATITIS]


@pytest.mark.parametrize("text", [SUPPLEMENT_XML, SUPPLEMENT_ASCII], ids=["xml", "ascii"])
def test_supplementary_records_are_read_from_either_format(tmp_path, text):
    assert read(tmp_path, text) == [BEVONIUM]
    with pytest.raises(DataError, match="supplementary records have none"):
        read(tmp_path, text, trees=["D"])


def test_trees_choose_by_whole_parts_of_tree_numbers(tmp_path):
    for trees, chosen in (
        (["C"], [HEPATITIS]),
        (["D03", "C23.888"], [CALCIMYCIN, HEPATITIS]),
        (["D03.633"], [CALCIMYCIN]),
    ):
        assert read(tmp_path, DESCRIPTORS_ASCII, trees=trees) == chosen
    assert read(tmp_path, DESCRIPTORS_ASCII, exclude_trees=["C23.888"]) == [CALCIMYCIN]
    assert read(tmp_path, DESCRIPTORS_ASCII, trees=["C", "D"], exclude_trees=["D"]) == [HEPATITIS]
    with pytest.raises(DataError, match="no records in the trees"):
        read(tmp_path, DESCRIPTORS_ASCII, trees=["D0", "C2"])


@pytest.mark.parametrize(
    ("inverted", "natural"),
    [
        ("Carcinoma, Hepatocellular", "Hepatocellular Carcinoma"),
        ("Hepatitis, Viral, Human", "Human Viral Hepatitis"),
        ("Enteritis, Transmissible, of Turkeys", "Transmissible Enteritis of Turkeys"),
        ("Diabetes Mellitus, Type 2", "Type 2 Diabetes Mellitus"),
        ("Gonadal Dysgenesis, 46,XY", "46,XY Gonadal Dysgenesis"),
        ("Vaginal Creams, Foams, and Jellies", None),
        ("Enkephalin, Ala(2)-MePhe(4)-Gly(5)-", None),
        ("Enoyl Reductase (NADPH, B-Specific)", None),
    ],
)
def test_inverted_names_come_in_natural_order_too(tmp_path, inverted, natural):
    (concept,) = read(tmp_path, f"*NEWRECORD\nMH = {inverted}\nUI = D1\n")
    assert concept.terms == ((inverted,) if natural is None else (inverted, natural))


def test_a_natural_order_that_is_listed_is_not_added_in_another_case(tmp_path):
    (concept,) = read(tmp_path, "*NEWRECORD\nMH = Shock, Surgical\nENTRY = surgical shock\nUI = D1\n")
    assert concept.terms == ("Shock, Surgical", "surgical shock")


ENTITIES = DESCRIPTORS_XML.replace('.dtd">', '.dtd" [<!ENTITY a "aa">]>').replace("Hepatitis", "&a;")


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (ENTITIES, 2, "declares an entity"),
        (ENTITIES.replace("<!ENTITY a", '<!ENTITY % p SYSTEM "file:///etc/passwd"> %p; <!ENTITY a'), 2, "declares an"),
        (DESCRIPTORS_XML.replace("<String>Liver I", "<String>&x;Liver I"), 89, "'x' is declared nowhere"),
        (DESCRIPTORS_XML[:-60], 97, "not well-formed"),
        (DESCRIPTORS_XML.replace("DescriptorRecordSet", "QualifierRecordSet"), 3, "its root is <QualifierRecordSet>"),
        (DESCRIPTORS_XML.replace("<DescriptorUI>D006505</DescriptorUI>", ""), 57, "without a unique identifier"),
        (DESCRIPTORS_ASCII.replace("MH = Hepatitis\n", ""), 12, "without a name"),
        (DESCRIPTORS_ASCII.replace("FX = Liver", "Liver"), 19, "neither 'ELEMENT = value'"),
        (DESCRIPTORS_ASCII.encode().replace(b"Liver Inf", b"L\xefver Inf"), 15, "UTF-8"),
        ("Hepatitis;C06.552.380\n", 1, "neither MeSH's XML"),
    ],
)
def test_a_bad_file_names_file_and_line(tmp_path, text, line, reason):
    with pytest.raises(DataError, match=reason) as caught:
        read(tmp_path, text)
    assert (caught.value.path, caught.value.line) == (tmp_path / "mesh", line)


@pytest.mark.parametrize("file", ["desc2026.xml", "DESC2026.xml.gz", "supp2026.xml", "d2026.bin", "c2026.bin.gz"])
def test_files_are_known_by_the_names_nlm_gives_them(file):
    assert type(Terminology.of(file)) is Mesh
    assert type(Terminology.of({"format": "mesh", "path": "x.xml"})) is Mesh


def tables(tmp_path, terms="mesh_id\tmesh_name\nD1\tAbdomen, Acute\nD2\tMale\n"):
    (tmp_path / "terms.tsv").write_text(terms, encoding="utf-8")
    (tmp_path / "symptoms.tsv").write_text("mesh_id\tmesh_name\tin_hsdn\nD1\tAbdomen, Acute\t1\n", encoding="utf-8")
    trees = "mesh_id\tmesh_name\tmesh_tree_number\nD1\tAbdomen, Acute\tC23.1\nD1\tAbdomen, Acute\tC23.2\n"
    (tmp_path / "tree-numbers.tsv").write_text(trees, encoding="utf-8")
    return tmp_path


def test_tables_are_read_from_their_folder_or_by_name(tmp_path):
    acute = Concept("D1", "Abdomen, Acute", ("Acute Abdomen",), frozenset({"C23.1", "C23.2"}))
    folder = tables(tmp_path)
    assert list(Mesh(folder)) == list(Mesh(folder / "terms.tsv")) == [acute, Concept("D2", "Male")]
    assert list(Mesh(folder / "symptoms.tsv")) == [acute]
    assert (
        Mesh(folder).source_hash == Mesh(folder / "terms.tsv").source_hash != Mesh(folder / "symptoms.tsv").source_hash
    )


def test_another_trees_file_is_another_source(tmp_path):
    before = Mesh(tables(tmp_path)).source_hash
    (tmp_path / "tree-numbers.tsv").write_text("mesh_id\tmesh_name\tmesh_tree_number\n", encoding="utf-8")
    assert Mesh(tmp_path).source_hash != before


@pytest.mark.parametrize(
    ("terms", "line", "reason"),
    [
        ("id\tmesh_name\n", 1, "no column mesh_id"),
        ("mesh_id\tmesh_name\nD1\n", 2, "2 cells"),
        ("mesh_id\tmesh_name\nD1\t\n", 2, "empty"),
    ],
)
def test_a_bad_table_names_file_and_line(tmp_path, terms, line, reason):
    with pytest.raises(DataError, match=reason) as caught:
        list(Mesh(tables(tmp_path, terms)))
    assert (caught.value.path, caught.value.line) == (tmp_path / "terms.tsv", line)


def test_the_real_tables_have_all_their_descriptors():
    folder = Settings().data / "mesh_terms/data"
    if not folder.exists():
        pytest.skip("mesh_terms is not in $CLINIDISTILL_DATA")

    def rows(file):
        return list(csv.DictReader((folder / file).read_text(encoding="utf-8").splitlines(), delimiter="\t"))

    concepts = {concept.code: concept for concept in load_terminology("mesh", path=folder)}
    assert {code: each.name for code, each in concepts.items()} == {
        r["mesh_id"]: r["mesh_name"] for r in rows("terms.tsv")
    }
    trees = {(r["mesh_id"], r["mesh_tree_number"]) for r in rows("tree-numbers.tsv")}
    assert {(code, tree) for code, each in concepts.items() for tree in each.types} == trees
    diseases = {c.code for c in load_terminology("mesh", path=folder, trees=["C"])}
    assert diseases == {code for code, tree in trees if tree.startswith("C")}
    symptoms = load_terminology("mesh", path=folder / "symptoms.tsv")
    assert [c.code for c in symptoms] == [r["mesh_id"] for r in rows("symptoms.tsv")]
    assert concepts["D006528"].synonyms == ("Hepatocellular Carcinoma",)
