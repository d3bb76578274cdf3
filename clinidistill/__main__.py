"""``python -m clinidistill``."""

from clinidistill.cli import main

main()
