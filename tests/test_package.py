"""Wheel and source distribution build clean, and hold what they should."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder


def test_twine_finds_nothing_to_complain_of(built):
    files = sorted(built.iterdir())
    assert [file.name.rpartition(".")[2] for file in files] == ["whl", "gz"]
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def test_the_wheel_holds_the_package_whole(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
        metadata = Parser().parsestr(wheel.read(next(name for name in held if name.endswith("/METADATA"))).decode())
    tracked = subprocess.run(["git", "ls-files", "clinidistill"], cwd=ROOT, capture_output=True, text=True, check=False)
    if tracked.returncode == 0:  # a source distribution has no history
        assert set(tracked.stdout.split()) - held == set()
    assert "clinidistill/py.typed" in held
    assert {name.partition("/")[0] for name in held} == {"clinidistill", "clinidistill-0.1.0.dist-info"}
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"


def test_the_source_distribution_holds_what_it_takes_to_test_it(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "CITATION.cff", "Makefile", "mkdocs.yml", "pyproject.toml", "README.md"} <= held
    assert {"tests/conftest.py", "docs/index.md", "docs/site/hooks.py", "examples/quickstart.py"} <= held
