"""What pytest gets by clinidistill being installed."""

import subprocess
import sys

import pytest

pytest_plugins = ("pytester",)

PLUGIN = """
import re
import clinidistill as cd

class Drugs(cd.Teacher):
    "Marks a drug."
    labels = frozenset({"medication"})
    def label_document(self, document):
        return [cd.Span(*match.span(), "medication") for match in re.finditer("metformin", document.text)]

class Shifted(Drugs):
    "Marks a drug somewhere else."
    def label_document(self, document):
        return [cd.Span(*match.span(), "medication") for match in re.finditer("metformin", document.text.strip())]

class Word(cd.Teacher):
    "Marks a word."
    def __init__(self, word: str):
        self.word = word
    def label_document(self, document):
        return [cd.Span(*match.span(), "word") for match in re.finditer(self.word, document.text)]
"""
ENTRY_POINTS = """
[clinidistill.teachers]
acme-drugs = acme:Drugs
acme-shifted = acme:Shifted
acme-word = acme:Word
acme-broken = acme_broken:Nothing
"""


def test_the_plugin_imports_nothing_that_pytest_has_not():
    script = (
        "import pytest, sys; before = set(sys.modules); import clinidistill.testing.pytest_plugin; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["clinidistill"]


@pytest.fixture
def acme(pytester, monkeypatch):
    """A distribution with four teachers: a good one, one with a fault, one that needs an option, and a broken one."""
    pytester.makepyfile(acme=PLUGIN, acme_broken="raise RuntimeError('not today')")
    folder = pytester.mkdir("acme-1.0.dist-info")
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.setenv("PYTHONPATH", str(pytester.path))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:cacheprovider -p no:xdist -p no:benchmark")
    return pytester


def test_installed_plugins_are_checked_rule_by_rule(acme):
    run = acme.runpytest_subprocess("--clinidistill", "-v", "-rs")
    run.stdout.fnmatch_lines_random(
        [
            "*teacher acme-drugs: teacher/offsets PASSED*",
            "*teacher acme-drugs: component/recipe PASSED*",
            "*teacher acme-drugs: teacher/remote SKIPPED*",
            "*teacher acme-shifted: teacher/offsets FAILED*",
            "*teacher acme-shifted: teacher/determinism PASSED*",
            "*teacher acme-broken: loads FAILED*",
            "*teacher acme-word SKIPPED*",
            "acme-shifted breaks teacher/offsets: *",
            "*More: docs/conformance.md#teacheroffsets*",
            "*quarantined*not today*",
            "*return an instance from pytest_clinidistill_components() in conftest.py*",
        ]
    )
    assert "majority" not in run.stdout.str()  # ours are not theirs to test
    assert run.ret == pytest.ExitCode.TESTS_FAILED


def test_a_conftest_gives_instances_with_their_samples(acme):
    acme.makeconftest(
        """
        import acme
        def pytest_clinidistill_components(config):
            return [(acme.Word("gout"), {"documents": ["No gout.", "Gout? Yes, gout."]})]
        """
    )
    run = acme.runpytest_subprocess(
        "--clinidistill-only", "acme-word", "--clinidistill-only", "teachers:acme-drugs", "-v"
    )
    run.stdout.fnmatch_lines_random(
        ["*teacher acme-word: teacher/offsets PASSED*", "*teacher acme-drugs: teacher/offsets PASSED*"]
    )
    assert "acme-shifted" not in run.stdout.str()
    assert run.ret == pytest.ExitCode.OK


def test_without_the_option_there_are_fixtures_only(acme):
    acme.makepyfile(
        """
        import acme, pytest
        from clinidistill.testing import ConformanceError

        def test_drugs(check_teacher):
            assert "teacher/offsets" not in check_teacher(acme.Drugs(), ["On metformin."])

        def test_shifted(check_teacher):
            with pytest.raises(ConformanceError, match="teacher/offsets"):
                check_teacher(acme.Shifted(), ["On metformin."])

        def test_others(check_student, check_dataset, check_aggregator, check_provider, check_terminology):
            import clinidistill as cd
            assert "component/network" not in check_aggregator(cd.load_aggregator("union"))
        """
    )
    acme.runpytest_subprocess().assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("acme.Drugs()", "*conftest.py: return a list of instances*"),
        ("[acme.Drugs]", "*conftest.py: * is no component: teacher, student, *"),
    ],
)
def test_a_conftest_that_gives_no_components_is_told_in_a_line(acme, given, reason):
    acme.makeconftest(f"import acme\ndef pytest_clinidistill_components(config):\n    return {given}\n")
    run = acme.runpytest_subprocess("--clinidistill")
    run.stderr.fnmatch_lines([f"ERROR: {reason}"])
    assert run.ret == pytest.ExitCode.USAGE_ERROR


def test_a_name_that_nothing_has_is_told(acme):
    run = acme.runpytest_subprocess("--clinidistill-only", "acme-drgs")
    run.stderr.fnmatch_lines(["ERROR: no component is called acme-drgs; *"])
    assert run.ret == pytest.ExitCode.USAGE_ERROR
