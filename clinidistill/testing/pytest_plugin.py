"""What pytest gets by clinidistill being installed: ``--clinidistill``, and the checks as fixtures.

pytest imports this at every start, whatever is tested, so that it imports nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["ClinidistillHooks"]


class ClinidistillHooks:
    """What a ``conftest.py`` may define."""

    @pytest.hookspec
    def pytest_clinidistill_components(self, config: pytest.Config) -> Any:
        """Instances that ``pytest --clinidistill`` checks.

        Args:
            config: pytest's configuration.

        Returns:
            A list of instances, or of pairs of an instance and the other arguments of its check:
            ``[(MyTeacher(), {"documents": [...]})]``.
        """


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Makes the hook known."""
    pluginmanager.add_hookspecs(ClinidistillHooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Makes the options known."""
    group = parser.getgroup("clinidistill")
    group.addoption(
        "--clinidistill",
        action="store_true",
        help="check components against the contract of their kind, one test a rule: those that installed plugins "
        "register, and those that pytest_clinidistill_components() in a conftest.py returns",
    )
    group.addoption(
        "--clinidistill-only",
        metavar="NAME",
        action="append",
        help="of those only this one, also a built-in, by name (regex) or group and name (teachers:regex); repeatable",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Adds the tests."""
    if config.option.clinidistill or config.option.clinidistill_only:
        from clinidistill.testing.pytest_items import conformance_items

        items += conformance_items(session, config.option.clinidistill_only)


def _check(name: str) -> Any:
    @pytest.fixture(scope="session", name=name)
    def check() -> Callable[..., dict[str, str]]:
        import clinidistill.testing

        function: Callable[..., dict[str, str]] = getattr(clinidistill.testing, name)
        return function

    return check


check_aggregator = _check("check_aggregator")
check_dataset = _check("check_dataset")
check_provider = _check("check_provider")
check_student = _check("check_student")
check_teacher = _check("check_teacher")
check_terminology = _check("check_terminology")
