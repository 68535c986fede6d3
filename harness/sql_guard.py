"""Which SQL a scenario may ask: one SELECT made of known parts, over known tables. Pure, and lists instead of bans.

PostgreSQL's own parser (pglast) gives the tree; every node, function, operator, type and table in it must stand in
one of the lists below, so what nobody thought of is refused. This is the first fence; the role that runs the query
(SELECT only, read-only transaction, time limit) is the second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import pglast
from pglast import ast

from harness.errors import did_you_mean

SQL_LENGTH_CHARS_MAX: Final = 8_192
NODES_MAX: Final = 2_000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NODES: Final = _words(
    "A_ArrayExpr A_Const A_Expr A_Indices A_Indirection A_Star Alias BitString BoolExpr Boolean "
    "BooleanTest CaseExpr CaseWhen CoalesceExpr ColumnRef CommonTableExpr Float FuncCall Integer JoinExpr "
    "MinMaxExpr NullTest RangeFunction RangeSubselect RangeVar ResTarget RowExpr SelectStmt SortBy String "
    "SubLink TypeCast TypeName WindowDef WithClause"
)
"""Every kind of node that may stand in a query."""

FUNCTIONS: Final = _words(
    "abs array_agg array_length array_position array_to_string avg bool_and bool_or btrim cardinality "
    "ceil char_length coalesce concat concat_ws count date_part date_trunc decode dense_rank encode every "
    "extract first_value floor fn_count_original_references fn_now greatest "
    "jsonb_agg jsonb_array_elements jsonb_array_elements_text "
    "jsonb_array_length jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path_text "
    "jsonb_object_agg jsonb_object_keys jsonb_typeof justify_interval lag last_value lead least left "
    "length like_escape lower ltrim make_interval max md5 min now nullif octet_length overlay "
    "percentile_cont percentile_disc pg_get_constraintdef pg_get_function_arguments "
    "pg_get_function_identity_arguments pg_get_indexdef position power rank replace right round "
    "row_number rtrim sha256 split_part starts_with strpos string_agg substr substring sum timezone "
    "to_char to_jsonb to_timestamp trunc unnest upper"
)
"""Functions that read nothing but their arguments (`pg_get_*`: the definition of a thing named by its oid)."""

GRAMMAR_FUNCTIONS: Final = _words("btrim extract like_escape ltrim overlay position rtrim substring timezone")
"""Functions that the grammar itself writes with `pg_catalog` before them."""

CLOCKS: Final = _words("clock_timestamp statement_timestamp transaction_timestamp timeofday localtimestamp")

OPERATORS: Final = _words("= <> != < > <= >= + - * / % || -> ->> #> #>> @> <@ && ? ~~ !~~ ~~* !~~* ~ !~ ~* !~*")

TYPES: Final = _words(
    "bool bpchar bytea date float4 float8 int2 int4 int8 interval json jsonb numeric text time timestamp "
    "timestamptz uuid varchar"
)

CATALOG: Final = _words("pg_attribute pg_class pg_constraint pg_index pg_indexes pg_proc pg_trigger")
"""Catalogue tables that only describe the schema; the documents' own verification queries read some of them."""

INFORMATION_SCHEMA: Final = _words("columns table_constraints tables")

_SQL_VALUE: Final = "use NOW(), which is scenario time"
_REAL_TIME_TEXT: Final = re.compile(r"\s*(now|today|tomorrow|yesterday)\b[\s0-9:.+a-z/-]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlProblem:
    """Why a query is refused, and what to do."""

    reason: str
    hint: str | None = None

    def __str__(self) -> str:
        return self.reason if self.hint is None else f"{self.reason} ({self.hint})"


def problems(sql: str, *, tables: Sequence[str] | None = None) -> list[SqlProblem]:
    """Everything that forbids this query; empty when it may run. `tables` None allows any name but the catalogue's."""
    return list(_problems(sql, None if tables is None else tuple(tables)))


@lru_cache(maxsize=1_024)
def _problems(sql: str, tables: tuple[str, ...] | None) -> tuple[SqlProblem, ...]:
    if len(sql) > SQL_LENGTH_CHARS_MAX:
        return (SqlProblem(f"the query has {len(sql)} characters", f"at most {SQL_LENGTH_CHARS_MAX}"),)
    try:
        statements = pglast.parse_sql(sql)
    except (pglast.parser.ParseError, ValueError) as error:
        return (SqlProblem(f"is not SQL: {str(error).splitlines()[0][:200]}"),)
    except RecursionError:
        return (SqlProblem("is nested too deep"),)
    if len(statements) != 1:
        return (SqlProblem(f"is {len(statements)} statements, not one", "write one SELECT"),)
    if not isinstance(statements[0].stmt, ast.SelectStmt):
        return (SqlProblem("is not a SELECT", "given and call change the database; expect only reads it"),)
    nodes = list(_nodes(statements[0].stmt))
    if len(nodes) > NODES_MAX:
        return (SqlProblem("has too many parts", f"at most {NODES_MAX}"),)
    ctes = frozenset(str(node.ctename) for node in nodes if isinstance(node, ast.CommonTableExpr))
    found = dict.fromkeys(problem for node in nodes if (problem := _judged(node, ctes, tables)) is not None)
    return tuple(found)


def _nodes(root: ast.Node) -> Iterator[ast.Node]:
    """Every node of the tree, without recursion; stops soon after the limit."""
    waiting: list[Any] = [root]
    count = 0
    while waiting and count <= NODES_MAX:
        item = waiting.pop()
        if isinstance(item, tuple | list):
            waiting.extend(reversed(item))
        elif isinstance(item, ast.Node):
            count += 1
            yield item
            waiting.extend(getattr(item, name) for name in reversed(list(item)))


def _judged(node: ast.Node, ctes: frozenset[str], tables: tuple[str, ...] | None) -> SqlProblem | None:
    kind = type(node).__name__
    if isinstance(node, ast.SQLValueFunction):
        name = str(node.op.name if node.op else "").removeprefix("SVFOP_").removesuffix("_N")
        return SqlProblem(f"{name} is not allowed", _SQL_VALUE if "TIME" in name or "DATE" in name else None)
    if isinstance(node, ast.LockingClause):
        return SqlProblem("FOR UPDATE and its kin are not allowed", "an expectation takes no locks")
    if isinstance(node, ast.IntoClause):
        return SqlProblem("SELECT INTO is not allowed", "an expectation only reads")
    if kind not in NODES:
        return SqlProblem(f"{kind} is not allowed")
    if isinstance(node, ast.FuncCall):
        return _function(node)
    if isinstance(node, ast.RangeVar):
        return _table(node, ctes, tables)
    if isinstance(node, ast.WithClause) and node.recursive:
        return SqlProblem("WITH RECURSIVE is not allowed", "it may never end")
    if isinstance(node, ast.CommonTableExpr):
        return _cte(node, tables)
    if isinstance(node, ast.A_Expr):
        return _operator(node)
    if isinstance(node, ast.TypeName):
        return _type(node)
    if isinstance(node, ast.A_Const):
        return _constant(node)
    return None


def _names(parts: Sequence[Any] | None) -> list[str]:
    return [str(part.sval) for part in parts or ()]


def _function(call: ast.FuncCall) -> SqlProblem | None:
    names = _names(call.funcname)
    name = names[-1]
    if len(names) > 1 and not (names[:-1] == ["pg_catalog"] and name in GRAMMAR_FUNCTIONS):
        return SqlProblem(f"function {'.'.join(names)} is not allowed", "write it without a schema")
    if name in CLOCKS:
        return SqlProblem(f"function {name} is not allowed", _SQL_VALUE)
    if name == "age" and len(call.args or ()) == 2:
        return None
    if name not in FUNCTIONS:
        near = did_you_mean(name, sorted(FUNCTIONS))
        return SqlProblem(f"function {name} is not allowed", near if near.startswith("did") else None)
    return None


def _table(table: ast.RangeVar, ctes: frozenset[str], tables: tuple[str, ...] | None) -> SqlProblem | None:
    schema, name = table.schemaname, str(table.relname)
    if table.catalogname is not None:
        return SqlProblem(f"{table.catalogname}.{schema}.{name} is in another database")
    if schema == "information_schema":
        return None if name in INFORMATION_SCHEMA else SqlProblem(f"information_schema.{name} is not allowed")
    if schema == "pg_catalog" or (schema is None and name.startswith("pg_")):
        return None if name in CATALOG else SqlProblem(f"the catalogue table {name} is not allowed")
    if schema not in (None, "public"):
        return SqlProblem(f"schema {schema} is not allowed", "write the table without a schema")
    if tables is None or name in tables or (schema is None and name in ctes):
        return None
    return SqlProblem(f"no table is called {name!r}", did_you_mean(name, tables))


def _cte(cte: ast.CommonTableExpr, tables: tuple[str, ...] | None) -> SqlProblem | None:
    name = str(cte.ctename)
    if name.startswith("pg_") or name in (tables or ()):
        return SqlProblem(f"WITH {name} hides a table", "give it a name of its own")
    return None


def _operator(expression: ast.A_Expr) -> SqlProblem | None:
    names = _names(expression.name)
    if len(names) > 1 or names[0] not in OPERATORS | {"BETWEEN", "NOT BETWEEN", "BETWEEN SYMMETRIC"}:
        return SqlProblem(f"operator {'.'.join(names)} is not allowed")
    return None


def _type(name: ast.TypeName) -> SqlProblem | None:
    names = _names(name.names)
    if len(names) > 2 or (len(names) == 2 and names[0] != "pg_catalog") or names[-1] not in TYPES:
        return SqlProblem(f"type {'.'.join(names)} is not allowed")
    if name.pct_type or name.setof:
        return SqlProblem("%TYPE and SETOF are not allowed")
    return None


def _constant(constant: ast.A_Const) -> SqlProblem | None:
    text = getattr(constant.val, "sval", None)
    if text is not None and _REAL_TIME_TEXT.fullmatch(text):
        return SqlProblem(f"the text {text!r} may be read as real time", _SQL_VALUE)
    return None
