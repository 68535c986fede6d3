"""SQL that lets PostgreSQL itself refuse writes with a given SQLSTATE, in one database, until it is taken back.

A statement trigger raises the error, inside the transaction that writes, as the real cause would. The sequence that
counts the refusals is not rolled back with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

ALLOWED_WRITES: Final = (
    "DROP FUNCTION IF EXISTS public.wakestorm_refuse() CASCADE; DROP SEQUENCE IF EXISTS public.wakestorm_refused"
)
"""Takes it back."""

_REFUSE: Final = """
{allowed};
CREATE SEQUENCE public.wakestorm_refused;
CREATE FUNCTION public.wakestorm_refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $refuse$
BEGIN
    IF {condition} THEN
        RAISE EXCEPTION USING ERRCODE = '{sqlstate}', MESSAGE = '{message}';
    END IF;
    RETURN NULL;
END $refuse$;
"""

_TRIGGER: Final = """
CREATE TRIGGER wakestorm_refuse BEFORE INSERT OR UPDATE ON public.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION public.wakestorm_refuse();
"""

_EVERY_TABLE: Final = """
DO $every$
DECLARE
    relation regclass;
BEGIN
    FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('CREATE TRIGGER wakestorm_refuse BEFORE INSERT OR UPDATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION public.wakestorm_refuse()', relation);
    END LOOP;
END $every$;
"""


def refused_writes(sqlstate: str, message: str, *, tables: Sequence[str] | None, times: int | None) -> str:
    """The next `times` (None: all) INSERT and UPDATE statements on the tables (None: every table) fail."""
    condition = "true" if times is None else f"nextval('public.wakestorm_refused') <= {times}"
    refuse = _REFUSE.format(allowed=ALLOWED_WRITES, condition=condition, sqlstate=sqlstate, message=message)
    return refuse + (_EVERY_TABLE if tables is None else "".join(_TRIGGER.format(table=table) for table in tables))
