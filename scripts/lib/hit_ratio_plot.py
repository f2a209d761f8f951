"""Draws miss ratio over cache size as SVG: a panel for each trace, a line for each policy."""

import html
import math

PANEL_WIDTH, PANEL_HEIGHT = 300, 190
LEFT, TOP, GAP_X, GAP_Y = 46, 54, 62, 66
PER_ROW = 3
# Legible on white and on black; after them the dashes change.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56a0d3", "#808080", "#e0457b")
DASHES = ("", "6 3", "2 3")
STYLE = """<style>
svg { font: 12px sans-serif; color-scheme: light dark; }
text { fill: #222; } .ground { fill: #fff; } .frame { stroke: #888; fill: none; }
.grid { stroke: #8884; } .line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) { text { fill: #ddd; } .ground { fill: #181818; } }
</style>"""


class Panel:
    """One trace: sizes on a logarithmic axis, miss ratios from the least to the greatest."""

    def __init__(self, x, y, rows):
        self.x, self.y = x, y
        sizes = sorted({float(row["size_fraction"]) for row in rows})
        ratios = [float(row["miss_ratio"]) for row in rows]
        self.sizes = sizes
        self.low = math.floor(min(ratios) * 10) / 10
        self.high = max(math.ceil(max(ratios) * 10) / 10, self.low + 0.1)

    def across(self, size):
        if len(self.sizes) == 1:
            return self.x + PANEL_WIDTH / 2
        low, high = math.log(self.sizes[0]), math.log(self.sizes[-1])
        return self.x + 8 + (math.log(size) - low) / (high - low) * (PANEL_WIDTH - 16)

    def down(self, ratio):
        return self.y + (self.high - ratio) / (self.high - self.low) * PANEL_HEIGHT

    def axes(self, title):
        yield (f'<text x="{self.x}" y="{self.y - 8}" font-weight="bold">{html.escape(title)}'
               "</text>")
        yield (f'<rect class="frame" x="{self.x}" y="{self.y}" width="{PANEL_WIDTH}" '
               f'height="{PANEL_HEIGHT}"/>')
        for step in range(5):
            ratio = self.low + (self.high - self.low) * step / 4
            y = self.down(ratio)
            yield f'<path class="grid" d="M{self.x} {y:.1f}h{PANEL_WIDTH}"/>'
            yield f'<text x="{self.x - 6}" y="{y + 4:.1f}" text-anchor="end">{ratio:.2f}</text>'
        for size in self.sizes:
            yield (f'<text x="{self.across(size):.1f}" y="{self.y + PANEL_HEIGHT + 16}" '
                   f'text-anchor="middle">{100 * size:g} %</text>')

    def curve(self, points, look):
        places = [(self.across(size), self.down(ratio)) for size, ratio in sorted(points)]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        yield f'<path class="line" {look} d="M{path}"/>'
        for x, y in places:
            yield f'<circle {look} fill="none" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'


def look_of(index):
    dash = DASHES[index // len(COLOURS) % len(DASHES)]
    return (f'stroke="{COLOURS[index % len(COLOURS)]}"'
            + (f' stroke-dasharray="{dash}"' if dash else ""))


def draw(rows):
    """`rows`: dictionaries with trace, size_fraction, policy and miss_ratio. The text of an SVG."""
    traces = list(dict.fromkeys(row["trace"] for row in rows))
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    columns = min(PER_ROW, len(traces))
    legend_rows = -(-len(policies) * 130 // (columns * (PANEL_WIDTH + GAP_X)))
    top = TOP + 18 * legend_rows
    width = columns * (PANEL_WIDTH + GAP_X) + 10
    height = top + -(-len(traces) // columns) * (PANEL_HEIGHT + GAP_Y)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
             f'viewBox="0 0 {width} {height}">', STYLE,
             f'<rect class="ground" width="{width}" height="{height}"/>',
             f'<text x="{LEFT}" y="18" font-size="14">Miss ratio over capacity, as share of the '
             "trace</text>"]
    per_legend_row = -(-len(policies) // legend_rows)
    for index, policy in enumerate(policies):
        x, y = LEFT + index % per_legend_row * 130, 36 + 18 * (index // per_legend_row)
        lines.append(f'<path class="line" {look_of(index)} d="M{x} {y}h26"/>')
        lines.append(f'<text x="{x + 32}" y="{y + 4}">{html.escape(policy)}</text>')
    for number, trace in enumerate(traces):
        of_trace = [row for row in rows if row["trace"] == trace]
        panel = Panel(LEFT + number % columns * (PANEL_WIDTH + GAP_X),
                      top + number // columns * (PANEL_HEIGHT + GAP_Y), of_trace)
        lines.extend(panel.axes(trace))
        for index, policy in enumerate(policies):
            points = [(float(row["size_fraction"]), float(row["miss_ratio"]))
                      for row in of_trace if row["policy"] == policy]
            if points:
                lines.extend(panel.curve(points, look_of(index)))
    lines.append("</svg>")
    return "\n".join(lines) + "\n"
