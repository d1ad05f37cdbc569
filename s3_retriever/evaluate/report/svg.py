"""Small charts as SVG: lines, bars, points and intervals. Colours and fonts come from the page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH, HEIGHT = 520, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 16, 14, 46


@dataclass(frozen=True, slots=True)
class Series:
    """One ranker in a chart.

    Attributes:
        label: For tooltips.
        css_class: Class that gives the colour, such as ``"tone-3"``.
        points: ``(x, y)``.
        dashed: Draw a broken line.
    """

    label: str
    css_class: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False


def lines(series: Sequence[Series], x_name: str, y_name: str) -> str:
    """Lines over a numeric x; y in percent."""
    xs = [x for one in series for x, _ in one.points]
    ys = [y for one in series for _, y in one.points]
    x, y = _linear(0, max(xs), _LEFT, WIDTH - _RIGHT), _percent(ys)
    body = [_grid(x.marks, y.marks, x_name, y_name)]
    for one in series:
        places = " ".join(f"{x.at(a):.1f},{y.at(b):.1f}" for a, b in one.points)
        dash = ' stroke-dasharray="5 4"' if one.dashed else ""
        tip = f"<title>{escape(one.label)}</title>"
        body.append(f'<g class="series {one.css_class}"{_name(one)}>{tip}')
        body.append(f'<polyline class="line" points="{places}"{dash}/></g>')
    return _figure(body, f"{y_name} against {x_name}")


def scatter(series: Sequence[Series], x_name: str, y_name: str, width: int = 400) -> str:
    """One point for each series, over a logarithmic x; y in percent."""
    points = [(one, *one.points[0]) for one in series]
    x = _logarithmic([a for _, a, _ in points], width - _RIGHT)
    y = _percent([b for *_, b in points])
    body = [_grid(x.marks, y.marks, x_name, y_name, width)]
    for one, a, b in points:
        tip = f"<title>{escape(one.label)}: {a:,.4g} {escape(x_name)}, {b:.1f}%</title>"
        body.append(f'<g class="series {one.css_class}"{_name(one)}>{tip}')
        body.append(f'<circle class="dot" cx="{x.at(a):.1f}" cy="{y.at(b):.1f}" r="6"/></g>')
    return _figure(body, f"{y_name} against {x_name}", width)


def bars(series: Sequence[Series], groups: Sequence[str], y_name: str, width: int = 1080) -> str:
    """Groups of bars; the points of a series are ``(number of the group, percent)``."""
    ys = [b for one in series for _, b in one.points]
    y = _percent(ys)
    room = (width - _LEFT - _RIGHT) / len(groups)
    bar = 0.84 * room / len(series)
    names = [(_LEFT + room * (n + 0.5), name) for n, name in enumerate(groups)]
    body = [_grid(names, y.marks, "", y_name, width, upright=False)]
    for place, one in enumerate(series):
        body.append(f'<g class="series {one.css_class}"{_name(one)}>')
        for group, value in one.points:
            left = _LEFT + room * (group + 0.08) + bar * place
            top = y.at(value)
            tip = f"<title>{escape(one.label)}, {escape(groups[int(group)])}: {value:.1f}</title>"
            size = f'width="{max(bar - 1.5, 1):.1f}" height="{HEIGHT - _BOTTOM - top:.1f}"'
            body.append(
                f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" {size} rx="1.5">{tip}</rect>'
            )
        body.append("</g>")
    return _figure(body, y_name, width)


def intervals(
    series: Sequence[Series], names: Sequence[str], x_name: str, width: int = WIDTH
) -> str:
    """Means with their intervals around zero.

    Args:
        series: The points of each are mean, low and high, as the x of three points.
        names: Written in front.
        x_name: Of the axis.
        width: Of the chart.
    """
    step, left = 30, 236
    height = _TOP + step * len(series) + _BOTTOM
    x = _linear(
        min(0.0, *(one.points[1][0] for one in series)),
        max(0.0, *(one.points[2][0] for one in series)),
        left,
        width - _RIGHT,
    )
    body = [_across(x.marks, x_name, (left, width - _RIGHT), height)]
    body.append(f'<path class="zero" d="M{x.at(0):.1f} {_TOP}V{height - _BOTTOM}"/>')
    for place, (one, name) in enumerate(zip(series, names, strict=True)):
        mean, low, high = (point[0] for point in one.points)
        y = _TOP + step * (place + 0.5)
        tip = f"<title>{escape(one.label)}: {mean:+.1f} [{low:+.1f}, {high:+.1f}]</title>"
        body += [
            f'<g class="series {one.css_class}"{_name(one)}>{tip}',
            f'<path class="line" d="M{x.at(low):.1f} {y}H{x.at(high):.1f}"/>',
            f'<circle class="dot" cx="{x.at(mean):.1f}" cy="{y}" r="5"/></g>',
            f'<text class="mark" x="{left - 12}" y="{y + 4}" text-anchor="end">'
            f"{escape(name)}</text>",
        ]
    return _figure(body, x_name, width, height)


@dataclass(frozen=True, slots=True)
class _Axis:
    at: Callable[[float], float]
    marks: list[tuple[float, str]]


def _linear(low: float, high: float, start: float, end: float) -> _Axis:
    """An axis that ends at round numbers."""
    step = _round_step((high - low) / 5 or 1)
    low, high = step * floor(low / step + 1e-9), step * ceil(high / step - 1e-9)

    def at(value: float) -> float:
        return start + (end - start) * (value - low) / (high - low or 1)

    count = round((high - low) / step)
    ticks = [low + step * n for n in range(count + 1)]
    return _Axis(at, [(at(tick), f"{tick:,.10g}") for tick in ticks])


def _percent(values: Sequence[float]) -> _Axis:
    top = HEIGHT - _BOTTOM
    return _linear(0, max(*values, 10.0), top, _TOP)


def _logarithmic(values: Sequence[float], end: float) -> _Axis:
    """A logarithmic axis over whole powers of ten; 0, where it occurs, stands one step before."""
    positive = [value for value in values if value > 0] or [1.0]
    first, high = floor(log10(min(positive))), ceil(log10(max(positive)))
    low = first - (min(values) <= 0)
    high = max(high, first + 1)
    start = _LEFT + 10

    def at(value: float) -> float:
        place = log10(value) if value > 0 else low
        return start + (end - start) * (place - low) / (high - low)

    marks = [(at(10.0**n), f"{10.0**n:,.10g}") for n in range(first, high + 1)]
    return _Axis(at, marks if low == first else [(at(0), "0"), *marks])


def _round_step(step: float) -> float:
    size: float = 10.0 ** floor(log10(step))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= step * 0.999)


def _grid(
    x_marks: Sequence[tuple[float, str]],
    y_marks: Sequence[tuple[float, str]],
    x_name: str,
    y_name: str,
    width: int = WIDTH,
    upright: bool = True,
) -> str:
    bottom, right = HEIGHT - _BOTTOM, width - _RIGHT
    parts = [f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>' for y, _ in y_marks]
    parts += [
        f'<text class="mark" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>'
        for y, text in y_marks
    ]
    if upright:
        parts += [f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>' for x, _ in x_marks]
    parts += [
        f'<text class="mark" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
        f"{escape(text)}</text>"
        for x, text in x_marks
    ]
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text class="name" x="{(_LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(x_name)}</text>"
        f'<text class="name" transform="translate(13 {middle}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_name)}</text>'
    )
    return "".join(parts)


def _across(
    marks: Sequence[tuple[float, str]], name: str, sides: tuple[int, int], height: int
) -> str:
    bottom = height - _BOTTOM
    parts = [f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>' for x, _ in marks]
    parts += [
        f'<text class="mark" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{text}</text>'
        for x, text in marks
    ]
    middle = sum(sides) / 2
    parts.append(
        f'<text class="name" x="{middle}" y="{height - 8}" text-anchor="middle">'
        f"{escape(name)}</text>"
    )
    return "".join(parts)


def _name(series: Series) -> str:
    return f' data-name="{escape(series.label)}"'


def _figure(body: Sequence[str], title: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:{width}px">{"".join(body)}</svg>'
    )
