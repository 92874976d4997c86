"""The plot: a row for each server, a dot for each load, on a logarithmic axis of answers a second."""

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

LEFT, WIDTH, TOP, STEP = 250, 560, 64, 26
COLOURS = ("#94a3b8", "#38bdf8", "#2563eb", "#7c3aed", "#f59e0b")


def dots(rates: Mapping[str, Mapping[str, float]], *, highlighted: Sequence[str] = ()) -> str:
    """An SVG of `rates[server][load]`, best servers first; those highlighted are set in bold."""
    order = sorted(rates, key=lambda name: -max(rates[name].values(), default=0))
    loads = list(next(iter(rates.values()), {}))
    values = [value for row in rates.values() for value in row.values() if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)

    def place(value: float) -> float:
        return LEFT + WIDTH * (math.log10(max(value, 10**low)) - low) / (high - low)

    height = TOP + STEP * len(order) + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 30} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{LEFT + WIDTH + 30}" height="{height}" fill="#ffffff"/>',
    ]
    for number, load in enumerate(loads):
        x = LEFT + number * 110
        lines.append(f'<circle cx="{x}" cy="20" r="5" fill="{COLOURS[number % len(COLOURS)]}"/>')
        lines.append(f'<text x="{x + 10}" y="24" fill="#334155">{escape(load)}</text>')
    for exponent in range(low, high + 1):
        x, bottom = place(10**exponent), TOP + STEP * len(order)
        lines.append(f'<line x1="{x:.0f}" y1="{TOP - 16}" x2="{x:.0f}" y2="{bottom}" stroke="#e2e8f0"/>')
        lines.append(f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle" fill="#64748b">{10**exponent:,}</text>')
    middle = LEFT + WIDTH / 2
    lines.append(
        f'<text x="{middle:.0f}" y="{height - 6}" text-anchor="middle" fill="#64748b">right answers a second</text>'
    )
    for number, name in enumerate(order):
        y = TOP + STEP * number
        weight = ' font-weight="bold"' if name in highlighted else ""
        lines.append(
            f'<text x="{LEFT - 14}" y="{y + 4}" text-anchor="end" fill="#0f172a"{weight}>{escape(name)}</text>'
        )
        lines.append(f'<line x1="{LEFT}" y1="{y}" x2="{LEFT + WIDTH}" y2="{y}" stroke="#f1f5f9"/>')
        for colour, load in enumerate(loads):
            if rates[name][load] > 0:
                x = place(rates[name][load])
                lines.append(
                    f'<circle cx="{x:.1f}" cy="{y}" r="5" fill="{COLOURS[colour % len(COLOURS)]}" fill-opacity="0.9">'
                    f"<title>{escape(name)}, {escape(load)}: {rates[name][load]:,.0f}/s</title></circle>"
                )
    return "\n".join([*lines, "</svg>", ""])
