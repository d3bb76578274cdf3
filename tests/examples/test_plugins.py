"""The packages in examples/plugins, installed by pip into a folder: their own tests, and the code of their READMEs."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

PLUGINS = Path(__file__).parents[2] / "examples" / "plugins"


def test_the_worked_examples_install_and_pass_their_tests_and_their_readmes_run(tmp_path):
    packages = [file.parent for file in sorted(PLUGINS.glob("*/pyproject.toml"))]
    packages.remove(PLUGINS / "spacy_student")  # see test_spacy_student.py
    copies = [shutil.copytree(package, tmp_path / "src" / package.name) for package in packages]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--target", tmp_path / "site"]
    subprocess.run([*pip, *offline, *copies], check=True)
    for copy in copies:
        for number, block in enumerate(re.findall(r"```python\n(.*?)```", (copy / "README.md").read_text(), re.DOTALL)):
            head = f"def test_readme_{number}(tmp_path, monkeypatch):\n    monkeypatch.chdir(tmp_path)\n"
            (copy / "tests" / f"test_readme_{copy.name}_{number}.py").write_text(head + textwrap.indent(block, "    "))
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", tmp_path / "pytest.ini", "-rA", *copies],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    for name in (copy.name for copy in copies):
        assert re.search(rf"^PASSED .*{name}/tests/\w+\.py::test_it_keeps_the_contract_of_", run.stdout, re.MULTILINE)
        assert f"test_readme_{name}_0.py::test_readme_0" in run.stdout
