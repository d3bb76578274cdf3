"""What ``import clinidistill`` costs, and whether its face is whole."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

import clinidistill

HEAVY = {"torch", "transformers", "accelerate", "httpx", "numpy", "pydantic", "rich", "typer", "spacy"}


def python(script: str) -> str:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_loads_no_heavy_library():
    loaded = set(python("import clinidistill, sys; print(*sys.modules)").split())
    assert "clinidistill" in loaded
    assert not HEAVY & loaded


@pytest.mark.alone
def test_importing_the_package_takes_under_150_ms():
    script = "import time; t = time.perf_counter(); import clinidistill; print(time.perf_counter() - t)"
    assert min(float(python(script)) for _ in range(5)) < 0.150


def test_the_nouns_and_the_registry_load_no_heavy_library():
    script = "import sys, clinidistill as cd; cd.Document, cd.Task, cd.load_teacher, cd.available; print(*sys.modules)"
    assert not {"torch", "transformers", "accelerate", "httpx"} & set(python(script).split())


@pytest.mark.parametrize("name", clinidistill.__all__)
def test_every_public_name_resolves(name):
    assert getattr(clinidistill, name) is not None
    assert name in dir(clinidistill)


def test_the_rooms_beside_the_pipeline_need_no_import_of_their_own():
    names = "cd.scale.predict_dataset, cd.testing.check_teacher, cd.interop"
    assert python(f"import clinidistill as cd; print(*(each.__name__ for each in ({names})))") == (
        "predict_dataset check_teacher clinidistill.interop"
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'clinidistill' has no attribute 'nothing'"):
        clinidistill.nothing  # noqa: B018


def test_what_type_checkers_see_is_what_users_get():
    tree = ast.parse(inspect.getsource(clinidistill))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    seen = {alias.asname: (node.module, alias.name) for node in block.body for alias in node.names}
    assert {name: home for name, (home, _) in seen.items() if name != "errors"} == clinidistill._HOME_OF
    assert all(name == original for name, (_, original) in seen.items())


def test_every_public_name_is_public_at_home_too():
    for name, home in clinidistill._HOME_OF.items():
        assert name in importlib.import_module(home).__all__, f"{home}.__all__ lacks {name}"
