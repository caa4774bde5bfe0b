"""A profile as one page of HTML, without scripts and without a network: text, tables, and bars with their numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from lake_assets.quality.column_profile import EXACT, ColumnProfile
from lake_assets.quality.profile import Profile
from lake_assets.quality.questions import Answer
from lake_assets.text.printable import printable

_CORRELATED = 30
_SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_STYLE = """
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--line:#8a8a8a;--bar:#0b62a4}
@media(prefers-color-scheme:dark){:root{--ink:#eee;--paper:#161616;--line:#888;--bar:#6db3f2}}
*{box-sizing:border-box}body{margin:0 auto;max-width:75rem;padding:1rem;font:1rem/1.45 system-ui,sans-serif;
color:var(--ink);background:var(--paper)}h1{font-size:1.4rem;overflow-wrap:anywhere}h2{font-size:1.1rem}
h3{margin:0 0 .5rem;font-size:1rem;overflow-wrap:anywhere}
main{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr))}
article{border:1px solid var(--line);border-radius:.4rem;padding:.8rem;min-width:0}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th{font-weight:400;text-align:left;padding-right:.8rem;vertical-align:top}td{text-align:right;overflow-wrap:anywhere}
table+table{margin-top:.6rem}.figures th{white-space:nowrap}
.wide{overflow-x:auto}.wide td,.wide th{padding:.15rem .4rem;border:1px solid var(--line);white-space:nowrap}
small{display:block}svg{width:100%;height:6rem;margin-top:.6rem}rect{fill:var(--bar)}
"""


def as_html(profile: Profile, title: str, answers: Sequence[Answer] = ()) -> str:
    """Return a profile as a page.

    Parameters
    ----------
    profile
        The profile.
    title
        What was profiled.
    answers
        What was asked for besides.
    """
    name = _text(title)
    body = "".join([*_body(profile), *map(_answer, answers)])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Profile of {name}</title><style>{_STYLE}</style></head>"
        f"<body><h1>Profile of {name}</h1>{body}</body></html>\n"
    )


def _body(profile: Profile) -> Iterator[str]:
    skew = ""
    if profile.skew is not None and len(profile.parts) > 1:
        skew = f"; the largest of {len(profile.parts)} partitions has {profile.skew:.2f} × the rows of the median"
    yield f"<p>{profile.rows:,} rows, {len(profile.columns)} columns{skew}. A figure without a note is exact.</p>"
    yield "<main>"
    for column in profile.columns.values():
        parts = _figures(column), _quantiles(column), _histogram(column), _top(column), _shapes(column)
        yield f"<article><h3>{_text(column.name)}</h3>{''.join(parts)}</article>"
    yield "</main>"
    yield _correlation(profile)
    if len(profile.parts) > 1:
        rows = "".join(f"<tr><th>{_text(part)}</th><td>{count:,}</td></tr>" for part, count in profile.parts.items())
        yield f'<h2>Rows of each partition</h2><div class="wide"><table>{rows}</table></div>'


def _figures(column: ColumnProfile) -> str:
    shown: dict[str, Any] = {"type": column.type, "semantic type": column.semantic_type}
    if column.personal:
        shown["values"] = "personal, not shown"
    shown |= {"values present": f"{column.completeness or 0:.1%} ({column.count:,})", "nulls": column.nulls}
    for name in ("nans", "infinities", "empty", "blank", "garbled", "negatives", "zeros"):
        shown[name] = getattr(column, name) or None
    shown["distinct"] = column.distinct
    for name in ("min", "max", "mean", "std", "skewness", "kurtosis", "min_length", "max_length"):
        shown[name] = getattr(column, name)
    rows = "".join(_row(column, name, value) for name, value in shown.items() if value is not None)
    return f'<table class="figures">{rows}</table>'


def _row(column: ColumnProfile, name: str, value: Any) -> str:
    how = column.exactness(name.replace(" ", "_"))
    note = "" if how in (EXACT, "rounded", "inferred") else f"<small>{_text(how)}</small>"
    return f"<tr><th>{_text(name.replace('_', ' '))}</th><td>{_text(_shown(value))}{note}</td></tr>"


def _histogram(column: ColumnProfile) -> str:
    edges, counts = column.histogram()
    if len(counts) < 2:
        return ""
    tallest, width = max(counts), 100 / len(counts)
    # What is rare is seen, too.
    heights = [max(2.0, 100 * count / tallest) if count else 0.0 for count in counts]
    bars = "".join(
        f'<rect x="{at * width:.2f}" y="{100 - height:.2f}" width="{width * 0.9:.2f}" height="{height:.2f}">'
        f"<title>{_text(_shown(edges[at]))} to {_text(_shown(edges[at + 1]))}: {counts[at]:,}</title></rect>"
        for at, height in enumerate(heights)
    )
    label = f"Histogram from {_shown(edges[0])} to {_shown(edges[-1])}; the tallest bar has {tallest:,} values"
    return (
        f'<svg role="img" aria-label="{_text(label)}" viewBox="0 0 100 100" preserveAspectRatio="none">{bars}</svg>'
        f"<small>{_text(label)}</small>"
    )


def _quantiles(column: ColumnProfile) -> str:
    found = [value for value in column.quantiles(_SHARES) if value is not None]
    rows = [(f"{share:.0%}", value) for share, value in zip(_SHARES, found, strict=False)]
    return _listed(column, "quantiles", ("quantile", "value"), rows)


def _top(column: ColumnProfile) -> str:
    top = column.top(5)
    if column.is_ordered or not top or top[0][1] < 2:
        return ""
    return _listed(column, "top", ("most frequent", "rows"), top)


def _shapes(column: ColumnProfile) -> str:
    return _listed(column, "patterns", ("shape", "rows"), column.patterns(5))


def _listed(column: ColumnProfile, figure: str, head: tuple[str, str], rows: Sequence[tuple[Any, Any]]) -> str:
    if not rows:
        return ""
    lines = "".join(f"<tr><th>{_text(_shown(name))}</th><td>{_text(_shown(value))}</td></tr>" for name, value in rows)
    how = column.exactness(figure)
    note = "" if how == EXACT else f"<small>{_text(how)}</small>"
    return f"<table><tr><th><strong>{head[0]}</strong></th><td>{head[1]}</td></tr>{lines}</table>{note}"


def _correlation(profile: Profile) -> str:
    matrix = profile.correlation()
    names = [str(name) for name in matrix.columns][:_CORRELATED]
    if len(names) < 2:
        return ""
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    lines = "".join(
        f"<tr><th>{_text(name)}</th>{''.join(_cell(float(value)) for value in values[: len(names)])}</tr>"
        for name, values in zip(names, matrix.to_numpy().tolist(), strict=False)
    )
    return f'<h2>Correlation (Pearson)</h2><div class="wide"><table><tr><td></td>{head}</tr>{lines}</table></div>'


def _answer(answer: Answer) -> str:
    note = f"<p>{_text(answer.note)}</p>" if answer.note else ""
    head = "".join(f"<th>{_text(str(name))}</th>" for name in answer.rows.columns)
    lines = "".join(f"<tr>{''.join(map(_value, line))}</tr>" for line in answer.rows.itertuples(index=False, name=None))
    table = f'<div class="wide"><table><tr>{head}</tr>{lines}</table></div>' if lines else ""
    return f"<h2>{_text(answer.title[:1].upper() + answer.title[1:])}</h2>{note}{table}"


def _value(value: Any) -> str:
    name = "td" if isinstance(value, int | float) else "th"
    return f"<{name}>{_text(_shown(value))}</{name}>"


def _cell(value: float) -> str:
    if math.isnan(value):
        return "<td>–</td>"
    # The number says it all; the shade helps to find what is strong.
    return f'<td style="background:color-mix(in srgb,var(--bar) {abs(value) * 45:.0f}%,transparent)">{value:+.2f}</td>'


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:,.6g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    return text[:60] + "…" if len(text) > 60 else text


def _text(text: str) -> str:
    return escape(printable(text))
