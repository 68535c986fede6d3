"""The one door to Jinja2: templates of this package, everything escaped that is not said to be markup."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from harness.report.words import printable

if TYPE_CHECKING:
    import jinja2


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """Templates of `harness/report/templates`; a name that is not there is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("harness.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_legible,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _legible(value: Any) -> Any:
    """Text without control characters, which HTML has no place for; line feeds stay."""
    if type(value) is not str or value.isprintable():
        return value
    return "\n".join(map(printable, value.split("\n")))


def page(template: str, **values: Any) -> str:
    """The template with these values."""
    return environment().get_template(template).render(**values)
