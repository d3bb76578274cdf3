"""The command line, run in this process."""

import io
import sys

import pytest

from clinidistill.cli import main


@pytest.fixture
def cli(monkeypatch, capsys):
    """Run the command line in this process; returns (exit code, stdout, stderr)."""

    def call(*args, stdin=""):
        monkeypatch.setattr(sys, "argv", ["clinidistill", *map(str, args)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = 0
        try:
            main()
        except SystemExit as done:
            code = done.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
