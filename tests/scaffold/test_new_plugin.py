"""Packages as `clinidistill new-plugin` writes them: looked at, built, and run in an environment of their own."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import textwrap
import tomllib
import venv
from pathlib import Path

import pytest

from clinidistill.errors import ConfigError
from clinidistill.scaffold import KINDS, new_plugin

ROOT = Path(__file__).parents[2]


def run(*command, cwd):
    parts, environment = [str(part) for part in command], os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(parts, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A package of each kind, called example-KIND."""
    folder = tmp_path_factory.mktemp("packages")
    return {kind: new_plugin(kind, f"example-{kind}", folder / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def environment(packages, tmp_path_factory):
    """Python of a fresh environment with all of them installed from wheels; the rest is borrowed from this one."""
    folder = tmp_path_factory.mktemp("environment")
    pip, offline = [sys.executable, "-m", "pip", "--disable-pip-version-check"], ["-q", "--no-deps", "--no-index"]
    run(*pip, "wheel", *offline, "--no-build-isolation", "-w", "wheels", *packages.values(), cwd=folder)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    paths = sysconfig.get_paths(vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")})
    borrowed = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    (Path(paths["purelib"]) / "borrowed.pth").write_text(borrowed)
    wheels = sorted((folder / "wheels").glob("*.whl"))
    assert len(wheels) == len(KINDS)
    run(*pip, "--python", python, "install", *offline, *wheels, cwd=folder)
    return python


def test_each_is_found_by_its_name_where_it_is_installed(environment, tmp_path):
    listed = json.loads(run(environment, "-m", "clinidistill", "plugins", "--json", cwd=tmp_path))
    found = {(row["group"], row["name"]): row for row in listed}
    for kind, about in KINDS.items():
        row = found[about.group, f"example-{kind}"]
        assert (row["package"], row["state"], row["error"]) == (f"example-{kind}", "ready", None)
        assert row["summary"]
        assert list(row) == ["group", "name", "package", "state", "summary", "error"]


def test_its_own_tests_the_kit_s_and_its_readme_pass_where_it_is_installed(environment, packages, tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    for kind, folder in packages.items():
        block = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
        test = f"def test_the_readme_of_{kind}(tmp_path, monkeypatch):\n    monkeypatch.chdir(tmp_path)\n"
        (tmp_path / f"test_readme_{kind}.py").write_text(test + textwrap.indent(block, "    "))
    tests = [*(folder / "tests" for folder in packages.values()), tmp_path]
    options = ["-q", "-p", "no:cacheprovider", "-c", tmp_path / "pytest.ini", "--clinidistill"]
    said = run(environment, "-m", "pytest", *options, *tests, "-rA", cwd=tmp_path)
    for kind, about in KINDS.items():
        assert f"::test_it_keeps_the_contract_of_{about.group}\n" in said
        assert f"::test_the_readme_of_{kind}\n" in said
    assert "PASSED clinidistill::teacher example-teacher: teacher/offsets" in said


@pytest.mark.parametrize("name", ["x", "clinidistill-icu-rules-of-our-hospital"])
def test_ruff_finds_nothing_to_mend_whatever_the_name(name, packages, tmp_path):
    written = [new_plugin(kind, name, tmp_path / kind) for kind in KINDS]
    run(sys.executable, "-m", "ruff", "check", "--no-cache", *written, cwd=tmp_path)
    if len(name) < 20:  # a longer name may make lines that are to be broken
        run(sys.executable, "-m", "ruff", "format", "--check", "--no-cache", *written, cwd=tmp_path)


@pytest.mark.skipif(not (ROOT / ".mypy_cache").is_dir(), reason="without what `make types` leaves, it takes a minute")
def test_mypy_finds_nothing_in_them_however_strict(packages):
    sources = [folder / "src" / f"example_{kind}" for kind, folder in packages.items()]
    run(sys.executable, "-m", "mypy", "--strict", *sources, cwd=ROOT)


@pytest.mark.parametrize(
    ("name", "folder", "module", "cls"),
    [
        ("my-teacher", "my-teacher", "my_teacher", "MyTeacher"),
        ("My_ICU.rules", "my-icu-rules", "my_icu_rules", "MyIcuRulesTeacher"),
        ("none", "none", "none", "NoneTeacher"),
    ],
)
def test_names_of_package_module_and_class_follow_from_one(tmp_path, monkeypatch, name, folder, module, cls):
    monkeypatch.chdir(tmp_path)
    written = new_plugin("teacher", name)
    assert written == Path(folder)
    project = tomllib.loads((written / "pyproject.toml").read_text())["project"]
    assert project["name"] == folder
    assert project["entry-points"] == {"clinidistill.teachers": {folder: f"{module}:{cls}"}}
    assert f"class {cls}(cd.Teacher):" in (written / "src" / module / "__init__.py").read_text()
    assert f"from {module} import {cls}" in (written / "tests" / f"test_{module}.py").read_text()


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("robot", "my-robot", "no kind of plugin is called 'robot'; kinds: teacher, student"),
        ("teacher", "", "no name for a package"),
        ("teacher", "2nd-teacher", "begin with a letter"),
        ("teacher", "../up", "no name for a package"),
        ("teacher", "a b", "no name for a package"),
        ("teacher", "end-", "no name for a package"),
        ("teacher", "naïve", "no name for a package"),
        ("teacher", "lambda", "a word of Python itself"),
        ("teacher", "json", "a module called 'json' can be imported already"),
        ("teacher", "clinidistill", "a module called 'clinidistill' can be imported already"),
        ("aggregator", "dawid-skene", "'dawid-skene' names one of the aggregators already"),
    ],
)
def test_a_name_that_would_not_work_is_refused_before_anything_is_written(tmp_path, kind, name, reason):
    with pytest.raises(ConfigError, match=re.escape(reason)):
        new_plugin(kind, name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not an empty folder"):
        new_plugin("teacher", "my-teacher", tmp_path)
    with pytest.raises(ConfigError, match="not an empty folder"):
        new_plugin("teacher", "my-teacher", tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine\.txt/new cannot be written: Not a directory"):
        new_plugin("teacher", "my-teacher", tmp_path / "mine.txt" / "new")


def test_the_command_says_what_it_wrote_and_what_to_do_next(cli, tmp_path):
    (tmp_path / "new").mkdir()  # an empty folder will do
    code, out, _ = cli("new-plugin", "terminology", "my-terms", "--output", tmp_path / "new")
    assert code == 0
    assert "pip install -e '.[dev]'" in out
    assert "clinidistill plugins terminologies" in out
    assert (tmp_path / "new" / "src" / "my_terms" / "__init__.py").is_file()
    assert (tmp_path / "new" / "src" / "my_terms" / "py.typed").is_file()
    code, _, err = cli("new-plugin", "terminology", "my-terms", "-o", tmp_path / "new")
    assert (code, "not an empty folder" in err.replace("\n", " ")) == (1, True)
