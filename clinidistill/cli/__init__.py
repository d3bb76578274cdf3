"""The command line; everything it does is a few lines of Python as well."""

from clinidistill.cli.main import app, main

__all__ = ["app", "main"]
