"""Teachers made for one kind of part (an API, a terminology): they take the part's options beside their own."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from clinidistill.component import Component

__all__ = ["init_over", "shared_options"]


def shared_options(part: Component, names: Iterable[str]) -> dict[str, Any]:
    """Those of a part's options that a teacher was given, with secrets wrapped as the part wraps them."""
    return {name: part.options[name] for name in names if name in part.options}


def init_over(
    base: type[Component],
    part: type[Component],
    *,
    hidden: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    prepare: Callable[[dict[str, Any], Mapping[str, Any]], None] | None = None,
) -> Callable[..., None]:
    """An ``__init__`` that takes a part's options and a teacher's, and tells so to whoever inspects it.

    Args:
        base: the teacher's class, whose first argument is the part.
        part: the part's class; of options that both have, the teacher gets its own.
        hidden: options of the teacher's that the part leaves no use for.
        defaults: other defaults for options of the teacher's.
        prepare: may change the part's options, given the teacher's, before the part is made.
    """
    own_init: Callable[..., None] = base.__init__
    _, *theirs = inspect.signature(part.__init__).parameters.values()
    _, _, *ours = inspect.signature(own_init).parameters.values()
    ours = [
        each.replace(default=(defaults or {}).get(each.name, each.default)) for each in ours if each.name not in hidden
    ]
    own = {parameter.name for parameter in ours}

    def __init__(self: Component, *args: Any, **options: Any) -> None:
        mine = {**(defaults or {}), **{name: options.pop(name) for name in own & options.keys()}}
        if prepare is not None:
            prepare(options, mine)
        made = part(*args, **options)
        self._options.update(shared_options(made, self._options.keys() - own))
        own_init(self, made, **mine)

    __init__.__doc__ = part.__doc__
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [parameter for parameter in theirs if parameter.name not in own]
    __init__.__signature__ = inspect.Signature([this, *taken, *ours])  # type: ignore[attr-defined]
    __init__.__annotations__ = {
        **typing.get_type_hints(part.__init__, include_extras=True),
        **typing.get_type_hints(own_init, include_extras=True),
    }
    return __init__
