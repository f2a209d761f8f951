"""Judges miss ratios against those of published policies, by the rules of issue 3.

Only cells with a capacity of at least 64 count. Reduction against a base = (base - ours) / base
when ours is less, else -(ours - base) / ours; means are over a trace's sizes, then over traces.
"""

import csv
import dataclasses
import pathlib
import statistics

from processes import Problem

LEAST_CAPACITY = 64
SYNTHETIC = ("syn_", "stress_")
MICRO = "lirs_"
# In hit_ratio.csv, but no published policies: optima, oracles, and prototypes.
NOT_PUBLISHED = ("OPT", "oracle-", "proto-")
STRESS = ("stress_corda_loop", 0.01, 0.25)
# What the engine's policies are called in hit_ratio.csv, where they are to agree.
PUBLISHED_NAMES = {"fifo": "FIFO", "lru": "LRU", "s3_fifo": "S3-FIFO", "sieve": "SIEVE",
                   "w_tinylfu": "W-TinyLFU-HC"}


def reduction(base, ours):
    """0.1: a tenth less misses than the base; -0.1: the base has a tenth less."""
    if ours <= base:
        return (base - ours) / base if base else 0.0
    return -(ours - base) / ours


@dataclasses.dataclass
class Reference:
    """cells: (trace, size) -> {published policy: miss ratio}, of all capacities >= 64."""
    cells: dict

    @staticmethod
    def find(folder):
        for path in (folder / "hit_ratio.csv", folder.parent / "hit_ratio.csv"):
            if path.exists():
                return Reference.read(path)
        raise Problem(f"no hit_ratio.csv in {folder} or beside it")

    @staticmethod
    def read(path):
        cells = {}
        with pathlib.Path(path).open(newline="") as file:
            for row in csv.DictReader(file):
                if row["mode"] != "count" or int(row["capacity"]) < LEAST_CAPACITY:
                    continue
                cell = cells.setdefault((row["trace"], float(row["size_fraction"])), {})
                cell[row["policy"]] = float(row["miss_ratio"])
        return Reference(cells)

    def best(self, cell):
        """(miss ratio, name) of the best published policy of a cell."""
        return min((ratio, name) for name, ratio in self.cells[cell].items()
                   if not name.startswith(NOT_PUBLISHED))

    def best_of_trace(self, cells):
        """(mean miss ratio, name) of the published policy that is best over these cells."""
        names = set.intersection(*(set(self.cells[cell]) for cell in cells))
        return min((statistics.mean(self.cells[cell][name] for cell in cells), name)
                   for name in names if not name.startswith(NOT_PUBLISHED))


def cells_of(rows, reference):
    """policy -> {(trace, size): miss ratio}, where the reference has the cell."""
    result = {}
    for row in rows:
        cell = (row["trace"], float(row["size_fraction"]))
        if cell in reference.cells:
            result.setdefault(row["policy"], {})[cell] = float(row["miss_ratio"])
    return result


def traces_of(cells):
    traces = {}
    for cell in sorted(cells):
        traces.setdefault(cell[0], []).append(cell)
    return traces


def mean_reduction(ours, reference, base, is_counted):
    """Over the traces that are counted; None without any."""
    means = [statistics.mean(reduction(reference.cells[cell][base], ours[cell]) for cell in cells)
             for trace, cells in traces_of(ours).items() if is_counted(trace)]
    return statistics.mean(means) if means else None


def is_real(trace):
    return not trace.startswith(SYNTHETIC)


def is_application(trace):
    return is_real(trace) and not trace.startswith(MICRO)


def percent(share):
    return "-" if share is None else f"{100 * share:+.1f} %"


def score_table(policies, reference):
    yield "| policy | vs LRU, real | vs FIFO, real | vs LRU, application | worst cell vs LRU | vs FIFO |"
    yield "|---|---|---|---|---|---|"
    for policy, ours in policies.items():
        worst = [min((reduction(reference.cells[cell][base], ratio), cell)
                     for cell, ratio in ours.items()) for base in ("LRU", "FIFO")]
        yield (f"| {policy} | {percent(mean_reduction(ours, reference, 'LRU', is_real))} "
               f"| {percent(mean_reduction(ours, reference, 'FIFO', is_real))} "
               f"| {percent(mean_reduction(ours, reference, 'LRU', is_application))} | "
               + " | ".join(f"{percent(share)} {trace} {size:g}" for share, (trace, size) in worst)
               + " |")


def trace_table(policies, reference):
    yield "| trace | sizes | LRU | best published | " + " | ".join(policies) + " |"
    yield "|---|---|---|---|" + "---|" * len(policies)
    for trace, cells in traces_of(next(iter(policies.values()))).items():
        lru = statistics.mean(reference.cells[cell]["LRU"] for cell in cells)
        best, name = reference.best_of_trace(cells)
        ours = [statistics.mean(policy[cell] for cell in cells) for policy in policies.values()]
        yield (f"| {trace} | {len(cells)} | {lru:.4f} | {best:.4f} {name} | "
               + " | ".join(f"{ratio:.4f} ({100 * (ratio / best - 1):+.1f} %)" for ratio in ours)
               + " |")


def violations(ours, reference):
    """What the targets of the issue forbid, a line each."""
    for trace, cells in traces_of(ours).items():
        if not is_real(trace):
            continue
        best, name = reference.best_of_trace(cells)
        mean = statistics.mean(ours[cell] for cell in cells)
        if mean > best * 1.01:
            yield f"{trace}: {mean:.4f}, more than 1 % over {name} {best:.4f}"
        for cell in cells:
            best, name = reference.best(cell)
            if ours[cell] > best * 1.03:
                yield (f"{trace} {cell[1]:g}: {ours[cell]:.4f}, "
                       f"{100 * (ours[cell] / best - 1):.1f} % over {name} {best:.4f}")
    for cell, ratio in sorted(ours.items()):
        for base, allowed in (("LRU", 0.02), ("FIFO", 0.01)):
            share = reduction(reference.cells[cell][base], ratio)
            if share < -allowed:
                yield f"{cell[0]} {cell[1]:g}: {percent(share)} against {base}"
    trace, size, most = STRESS
    if ours.get((trace, size), 0) > most:
        yield f"{trace} {size:g}: {ours[(trace, size)]:.4f}, more than {most}"


def agreement(policies, reference):
    """How far the policies are from the published ones of the same name."""
    for policy, ours in policies.items():
        name = PUBLISHED_NAMES.get(policy)
        if name is None:
            continue
        worst, cell = max((abs(ratio - reference.cells[cell][name]), cell)
                          for cell, ratio in ours.items())
        yield (f"- {policy}: at most {100 * worst:.3f} points from {name} over {len(ours)} cells "
               f"({cell[0]} {cell[1]:g})")


def summarize(rows, reference):
    """Markdown."""
    policies = cells_of(rows, reference)
    if not policies:
        raise Problem("no trace and size of these are in hit_ratio.csv")
    lines = ["Mean reduction of misses; cells with a capacity of 64 and more", "",
             *score_table(policies, reference), "", "Mean miss ratios by trace (and how far from "
             "the best published policy of the trace)", "", *trace_table(policies, reference), "",
             "Agreement with published figures", "", *agreement(policies, reference)]
    for policy, ours in policies.items():
        if policy in PUBLISHED_NAMES:
            continue
        found = list(violations(ours, reference))
        lines += ["", f"{policy}: {len(found)} targets missed", "", *(f"- {line}" for line in found)]
    return "\n".join(lines)
