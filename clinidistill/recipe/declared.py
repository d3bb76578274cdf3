"""What recipes and other declared runs share: strict models, components by name, and files with paths and variables."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clinidistill.database import has_password, is_server
from clinidistill.errors import ConfigError, DataError
from clinidistill.settings import Settings

__all__ = ["Component", "Declared", "Strict"]


class Strict(BaseModel):
    """A table that knows all its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Component(BaseModel):
    """A registered component and its options: ``{use = "terminology", label = "medication", path = "drugs.csv"}``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    use: str = Field(description="Name that the component is registered under.")

    @property
    def options(self) -> dict[str, Any]:
        """Everything but ``use``."""
        return dict(self.__pydantic_extra__ or {})


class Declared(Strict):
    """A run that one file declares.

    Class attributes:
        what: what such a file is called in messages.
    """

    what: ClassVar[str]

    @classmethod
    def load(cls, path: str | Path, *, unset: list[str] | None = None) -> Self:
        """What a TOML (or JSON) file declares.

        Args:
            path: the file. Paths in it are relative to it; ``${CLINIDISTILL_DATA}`` and other environment variables are
                filled in.
            unset: takes the names of variables that the environment does not set, which then stay as they are.

        Raises:
            DataError: if the file is absent or no TOML.
            ConfigError: naming each field at fault.
        """
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8")
            data = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        except OSError as error:
            raise DataError(f"cannot read the {cls.what} ({error.strerror})", path=file) from None
        except ValueError as error:
            line = re.search(r"line (\d+)", str(error))
            raise DataError(f"is no TOML: {error}", path=file, line=int(line[1]) if line else None) from None
        try:
            return cls.model_validate(_Resolver(cls.what, file.resolve().parent, unset).resolved(data))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg']}"
                for detail in error.errors(include_input=False, include_url=False)
            )
            raise ConfigError(f"{file}: {problems}") from None


_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PATHS = {"path", "base", "model", "store", "annotations", "ca_bundle"}
_NAMES_TOO = {"base", "model"}
_ON_A_HUB = {"hugging-face"}  # components whose path may be a name there, as a base may


class _Resolver:
    """Fills variables in and makes paths absolute."""

    def __init__(self, what: str, folder: Path, unset: list[str] | None):
        self.what, self.folder, self.unset = what, folder, unset

    def resolved(self, value: Any, key: str = "") -> Any:
        if isinstance(value, Mapping):
            table: Mapping[str, Any] = value
            kinds = {"path": "base"} if table.get("use") in _ON_A_HUB else {}
            return {name: self.resolved(item, kinds.get(name, name)) for name, item in table.items()}
        if isinstance(value, list):
            return [self.resolved(item, key) for item in value]
        if not isinstance(value, str):
            return value
        if key == "api_key" and not _VARIABLE.fullmatch(value):
            raise ConfigError(
                f'a key does not belong in a {self.what}; name the variable that holds it: api_key = "${{MY_KEY}}"'
            )
        if has_password(value):
            raise ConfigError(f"a password does not belong in a {self.what}; leave it to PGPASSWORD or .pgpass")
        text = _VARIABLE.sub(self._variable, value)
        if key not in _PATHS:
            return text
        text = os.path.expanduser(text)
        if not is_server(text) and not Path(text).is_absolute() and not text.startswith("${"):
            # A base may also be a package's or a hub's name, and a model an API's: only what is there is a path.
            local = self.folder / text
            return str(local) if key not in _NAMES_TOO or local.exists() else text
        return text

    def _variable(self, match: re.Match[str]) -> str:
        name = match[1]
        if name == "CLINIDISTILL_DATA":
            return str(Settings().data.resolve())
        if name in os.environ:
            return os.environ[name]
        if self.unset is None:
            raise ConfigError(f"the {self.what} uses ${{{name}}}, which the environment does not set")
        if name not in self.unset:
            self.unset.append(name)
        return match[0]
