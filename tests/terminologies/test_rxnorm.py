import zipfile

import pytest

from clinidistill.errors import DataError, OptionError
from clinidistill.terminologies import Concept, Terminology, load_terminology
from clinidistill.terminologies.rxnorm import RxNorm


def name(rxcui, tty, text, sab="RXNORM", suppress="N", cvf="4096"):
    """A row of RXNCONSO: its 18 columns, each closed by a bar."""
    return f"{rxcui}|ENG||||||1{rxcui}|1{rxcui}|{rxcui}||{sab}|{tty}|{rxcui}|{text}||{suppress}|{cvf}|\n"


def relation(second, rela, first, rel="RO", sab="RXNORM", suppress="N"):
    """A row of RXNREL, 16 columns: what the SECOND concept is to the first."""
    return f"{first}||CUI|{rel}|{second}||CUI|{rela}|4170244||{sab}||||{suppress}||\n"


def attribute(rxcui, name, value, sab="RXNORM"):
    """A row of RXNSAT, 13 columns."""
    return f"{rxcui}|||1{rxcui}|AUI|{rxcui}|||{name}|{sab}|{value}|N|4096|\n"


NAMES = (
    name(151827, "BN", "Glucophage")
    + name(6809, "TMSY", "metFORMIN")
    + name(6809, "SY", "dimethylbiguanide")
    + name(6809, "IN", "metformin")
    + name(6809, "SY", "metformin")
    + name(6809, "IN", "Metformin product", sab="ATC")
    + name(235743, "PIN", "metformin hydrochloride", cvf="")
    + name(235743, "SU", "METFORMIN HCL", sab="MTHSPL")
    + name(860975, "SCD", "metformin hydrochloride 500 MG Oral Tablet")
    + name(860975, "PSN", "metFORMIN HCl 500 MG Oral Tablet")
    + name(861006, "SBD", "metformin hydrochloride 500 MG Oral Tablet [Glucophage]")
    + name(161, "IN", "acetaminophen")
    + name(2670, "IN", "codeine")
    + name(220586, "BN", "Tylenol with Codeine")
    + name(700001, "MIN", "acetaminophen / codeine phosphate")
    + name(817579, "MIN", "acetaminophen / codeine")
    + name(900002, "PIN", "codeine phosphate")
    + name(900003, "BN", "Gone", suppress="O")
    + name(900004, "BN", "Hidden", suppress="Y")
    + name(900005, "BN", "Unquantified", suppress="E")
    + name(900006, "BN", "Orphan")
    + name(6809, "BN", "one more, far below")
)
RELATIONS = (
    relation(151827, "tradename_of", 6809, rel="RN")
    + relation(6809, "has_tradename", 151827, rel="RB")
    + relation(6809, "has_form", 235743)
    + relation(220586, "tradename_of", 161)
    + relation(2670, "has_tradename", 220586)
    + relation(700001, "has_part", 161)
    + relation(700001, "has_part", 900002)
    + relation(900002, "form_of", 2670)
    + relation(161, "part_of", 817579)
    + relation(2670, "part_of", 817579)
    + relation(861006, "tradename_of", 860975)
    + relation(860975, "consists_of", 860974)
    + relation(6809, "ingredient_of", 860974)
    + relation(151827, "ingredient_of", 861006)
    + relation(900006, "tradename_of", 161, sab="MMSL")
    + relation(900006, "tradename_of", 2670, suppress="O")
    + relation(900006, "isa", 161)
)
TABLES = {"RXNCONSO.RRF": NAMES + name(860974, "SCDC", "metformin 500 MG"), "RXNREL.RRF": RELATIONS}


def release(tmp_path, folder="rrf", **tables):
    path = tmp_path / "RxNorm_full_01022024"
    for file, text in (TABLES | tables).items():
        (path / folder).mkdir(parents=True, exist_ok=True)
        (path / folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(path, **options):
    return {concept.code: concept for concept in load_terminology("rxnorm", path=path, **options)}


def test_one_concept_is_made_of_all_rows_of_an_rxcui(tmp_path):
    drugs = read(release(tmp_path))
    assert list(drugs)[:3] == ["151827", "6809", "235743"]
    assert drugs["6809"] == Concept(
        "6809", "metformin", ("one more, far below", "dimethylbiguanide", "metFORMIN"), frozenset({"IN", "BN"})
    )
    assert drugs["151827"] == Concept("151827", "Glucophage", (), frozenset({"BN"}))


def test_by_default_substances_and_brands_are_taken_and_neither_products_nor_their_synonyms(tmp_path):
    drugs = read(release(tmp_path))
    assert "860975" not in drugs
    assert set().union(*(drug.types for drug in drugs.values())) == {"IN", "PIN", "MIN", "BN"}


def test_term_types_choose_concepts_and_their_names(tmp_path):
    path = release(tmp_path)
    product = read(path, term_types=["SCD", "PSN"])["860975"]
    assert product.terms == ("metformin hydrochloride 500 MG Oral Tablet", "metFORMIN HCl 500 MG Oral Tablet")
    assert product.types == {"SCD"}
    assert read(path, term_types=["PSN"]) == {
        "860975": Concept("860975", "metFORMIN HCl 500 MG Oral Tablet", (), frozenset({"PSN"}))
    }
    everything = read(path, term_types=None, sources=None)
    assert {"SCDC", "SBD", "SU"} <= set().union(*(drug.types for drug in everything.values()))
    assert everything["6809"].terms[0] == "metformin"


def test_sources_choose_names_and_their_order_the_preferred_one(tmp_path):
    path = release(tmp_path)
    assert read(path, sources=["ATC", "RXNORM"])["6809"].terms[:2] == ("Metformin product", "metformin")
    assert read(path, sources=["MTHSPL"], term_types=["SU"]) == {
        "235743": Concept("235743", "METFORMIN HCL", (), frozenset({"SU"}))
    }


@pytest.mark.parametrize(
    ("options", "also"),
    [
        ({}, set()),
        ({"obsolete": True}, {"900003"}),
        ({"suppressed": True}, {"900004", "900005"}),
        ({"obsolete": True, "suppressed": True}, {"900003", "900004", "900005"}),
    ],
)
def test_suppressed_and_obsolete_names_come_when_asked_for(tmp_path, options, also):
    assert read(release(tmp_path), **options).keys() & {"900003", "900004", "900005"} == also


def test_an_ingredients_code_takes_brands_salts_and_combinations(tmp_path):
    drugs = read(release(tmp_path), code="ingredient")
    assert drugs["6809"].terms[0] == "metformin"
    assert {"Glucophage", "metformin hydrochloride"} < set(drugs["6809"].terms)
    assert drugs["817579"].terms == (
        *("acetaminophen / codeine", "Tylenol with Codeine", "acetaminophen / codeine phosphate"),
    )
    assert drugs["2670"].terms == ("codeine", "codeine phosphate")
    assert drugs["161"].terms == ("acetaminophen",)
    assert drugs["900006"].terms == ("Orphan",)  # no relationship of RxNorm's own that counts
    assert drugs["6809"].types == {"IN", "BN", "PIN"}
    assert not drugs.keys() & {"151827", "235743", "220586", "700001", "900002"}


def test_a_combination_without_a_concept_of_its_own_keeps_its_code(tmp_path):
    tables = {"RXNREL.RRF": RELATIONS.replace("817579", "817570").replace("700001", "900009")}
    assert "220586" in read(release(tmp_path, **tables), code="ingredient")


def test_products_go_under_their_ingredient_through_their_components(tmp_path):
    drugs = read(release(tmp_path), code="ingredient", term_types=["SCD", "SBD"])
    assert drugs == {
        "6809": Concept(
            "6809",
            "metformin hydrochloride 500 MG Oral Tablet",
            ("metformin hydrochloride 500 MG Oral Tablet [Glucophage]",),
            frozenset({"SCD", "SBD"}),
        )
    }


def test_the_prescribable_subset_is_its_folder_or_the_rows_marked_so(tmp_path):
    path = release(tmp_path)
    assert "235743" not in read(path, prescribable=True)
    assert "151827" in read(path, prescribable=True)
    release(tmp_path, "prescribe/rrf", **{"RXNCONSO.RRF": name(6809, "IN", "metformin", cvf="")})
    assert list(read(path, prescribable=True)) == ["6809"]
    assert len(read(path)) > 5
    assert list(read(path / "prescribe")) == ["6809"]


def test_a_zip_is_read_in_place_like_its_folder(tmp_path):
    path = release(tmp_path)
    archive = tmp_path / "RxNorm_full_01022024.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for table in TABLES:
            file.write(path / "rrf" / table, f"rrf/{table}")
            file.write(path / "rrf" / table, f"prescribe/rrf/{table}")
    for options in ({}, {"code": "ingredient"}):
        assert read(archive, **options) == read(path / "rrf/RXNCONSO.RRF", **options)
    zipped, folder = RxNorm(archive, code="ingredient"), RxNorm(path, code="ingredient")
    assert read(archive, prescribable=True) == read(path)  # its folder prescribe holds the same here
    assert zipped.source_files() == [archive]
    assert folder.source_files() == [path / "rrf/RXNCONSO.RRF", path / "rrf/RXNREL.RRF"]
    assert zipped.fingerprint == folder.fingerprint


def test_drugs_for_animals_alone_can_be_left_out(tmp_path):
    marks = attribute(900006, "RXN_VET_DRUG", "US")
    marks += attribute(151827, "RXN_VET_DRUG", "US") + attribute(151827, "RXN_HUMAN_DRUG", "US")
    path = release(tmp_path, **{"RXNSAT.RRF": marks})
    assert "900006" in read(path)
    human = read(path, veterinary=False)
    assert "900006" not in human
    assert {"151827", "6809"} < human.keys()
    assert path / "rrf/RXNSAT.RRF" in RxNorm(path, veterinary=False).source_files()


@pytest.mark.parametrize(
    ("table", "option"), [("RXNCONSO", {}), ("RXNREL", {"code": "ingredient"}), ("RXNSAT", {"veterinary": False})]
)
def test_a_table_that_is_missing_is_named(tmp_path, table, option):
    path = release(tmp_path, **{"RXNSAT.RRF": ""})
    (path / f"rrf/{table}.RRF").unlink()
    with pytest.raises(DataError, match=rf"no {table}.RRF \(the "):
        read(path, **option)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"sources": ["MSH"]}, r"sources=\['MSH'\] leaves no row; SAB is 'ATC', 'MTHSPL', 'RXNORM'"),
        ({"term_types": ["SU"]}, r"term_types=\['SU'\] leaves no row; TTY is 'BN', 'IN', 'MIN'"),
        ({"term_types": ["DF", "PSN"]}, r"term_types=\['DF', 'PSN'\].* leave no concept"),
    ],
)
def test_an_option_that_leaves_nothing_is_named(tmp_path, options, reason):
    with pytest.raises(DataError, match=rf"RXNCONSO.RRF: {reason}"):
        read(release(tmp_path), **options)


def test_what_is_all_suppressed_or_empty_is_said_to_be_so(tmp_path):
    with pytest.raises(DataError, match="obsolete=False leaves no row; SUPPRESS is 'O'"):
        read(release(tmp_path, **{"RXNCONSO.RRF": name(1, "IN", "x", suppress="O")}))
    with pytest.raises(DataError, match="no rows in it"):
        read(release(tmp_path, **{"RXNCONSO.RRF": ""}))


def test_a_row_broken_in_the_middle_names_file_line_and_column(tmp_path):
    broken = name(1, "IN", "x") + "151827|ENG||||||1151827|1151\n"
    with pytest.raises(DataError, match=r"RXNCONSO.RRF:2:29: 8 columns.* where this table has 18"):
        read(release(tmp_path, **{"RXNCONSO.RRF": broken}))
    latin = NAMES.encode() + name(2, "IN", "Zoë").encode("latin-1")
    with pytest.raises(DataError, match=rf"RXNCONSO.RRF:{NAMES.count(chr(10)) + 1}:\d+: not UTF-8"):
        read(release(tmp_path, **{"RXNCONSO.RRF": latin}))


def test_a_name_without_an_rxcui_is_an_error_where_it_stands(tmp_path):
    with pytest.raises(DataError, match=r"RXNCONSO.RRF:2:1: the RXCUI is empty"):
        read(release(tmp_path, **{"RXNCONSO.RRF": name(1, "IN", "x") + name("", "IN", "y")}))


def test_a_file_of_another_kind_is_named_in_the_error(tmp_path):
    (tmp_path / "guide.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(DataError, match=r"guide.pdf: no RXNCONSO.RRF"):
        read(tmp_path / "guide.pdf")


def test_a_path_to_its_names_tells_the_format(tmp_path):
    assert type(Terminology.of(release(tmp_path) / "rrf/RXNCONSO.RRF")) is RxNorm
    for name in ("RxNorm_full_11042024.zip", "RxNorm_full_prescribe_11042024.zip"):
        assert type(Terminology.of(name)) is RxNorm
    with pytest.raises(OptionError, match="code"):
        load_terminology("rxnorm", path=tmp_path, code="brand")
