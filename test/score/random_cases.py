"""Random scoring cases with all of md-eval's quirks mixed, as files and options."""

import random
from dataclasses import dataclass, field
from pathlib import Path

BAD_LINES = (
    "SPEAKER a 1 0 1 <NA> <NA> A",
    "FOO a 1 0 1 <NA> <NA> A <NA>",
    "SPEAKER a 1 0 1 <NA> male A <NA>",
    "SPEAKER a 1 0 -1 <NA> <NA> A <NA>",
    "SU wordless 1 0 1 <NA> statement A <NA>",
)


@dataclass
class RandomCase:
    """Lines of the three files (``uem`` None: not given) and options without file names."""

    ref: list[str] = field(default_factory=list)
    sys: list[str] = field(default_factory=list)
    uem: list[str] | None = None
    options: list[str] = field(default_factory=list)

    def write(self, folder: Path, name: str) -> list[str]:
        """Write the files and return the whole command line."""
        args = list(self.options)
        for letter, lines in (("r", self.ref), ("s", self.sys), ("u", self.uem)):
            if lines is None:
                continue
            path = folder / f"{name}.{letter}"
            path.write_bytes("".join(lines).encode())
            args += [f"-{letter}", str(path)]
        return args


def beside_overlap(span: tuple[float, float], turns: list[tuple[float, float]]) -> bool:
    """Return whether an overlap ends in the 0.5 s before ``span``, or begins in those after it."""
    starts = [t for t, _ in turns if any(a < t < b for a, b in turns)]
    ends = [t for _, t in turns if any(a < t < b for a, b in turns)]
    return any(0 < span[0] - t <= 0.5 for t in ends) or any(0 < t - span[1] <= 0.5 for t in starts)


class Maker:
    """Makes cases from a seed.

    Cases with zones or ``-1`` take each time once, in fine steps, since md-eval's own sort is
    inconsistent where boundaries coincide there; all others are on a coarse grid, so that they
    coincide and tie often.  Under ``-1`` no noise is so near before or after an overlap that its
    zone would grow up to it: boundaries would coincide again (doc/scoring.md, Deviations).
    """

    def __init__(self, seed: int) -> None:
        self.rnd = random.Random(seed)
        self.taken: set[float] = set()
        self.coarse = True

    def time(self, top: float = 40.0) -> float:
        while True:
            value = (
                self.rnd.randrange(0, int(top))
                if self.coarse
                else round(self.rnd.uniform(0, top), 4)
            )
            if self.coarse or value not in self.taken:
                self.taken.add(value)
                return value

    def span(self, longest: float, shortest: float = 0.0) -> tuple[float, float]:
        while True:
            start, end = sorted((self.time(), self.time()))
            if shortest <= end - start <= longest:
                return start, end

    def line(self, kind: str, group: str, span: tuple, subtype: str, name: str) -> str:
        rnd = self.rnd
        start, end = span
        duration = round(end - start, 6)
        fields = [kind, group, f"{start:g}", f"{duration:g}", "<NA>", subtype, name, "<NA>"]
        if rnd.random() < 0.7:
            fields.append("<NA>")
        if rnd.random() < 0.05:
            fields[0] = fields[0].lower()
        gap = "\t" if rnd.random() < 0.1 else " "
        return gap.join(fields) + ("\r\n" if rnd.random() < 0.05 else "\n")

    def case(self) -> RandomCase:
        rnd = self.rnd
        out = RandomCase()
        zones = rnd.random() < 0.3
        skip = rnd.random() < 0.3
        self.coarse = not zones and not skip
        groups = [f"{f} {c}" for f in ("a", "b.wav", "C")[: rnd.randint(1, 3)] for c in "1A"]
        groups = rnd.sample(groups, rnd.randint(1, min(3, len(groups))))
        words = rnd.random() < 0.3
        for group in groups:
            self.taken = set()
            self.reference(out, group, zones, words, skip)
            self.system(out, group)
        self.extras(out, groups)
        if rnd.random() < 0.6:
            out.uem = self.uem(groups)
        rnd.shuffle(out.ref)
        rnd.shuffle(out.sys)
        if rnd.random() < 0.04:
            side = rnd.choice((out.ref, out.sys))
            side.insert(rnd.randrange(len(side) + 1), rnd.choice(BAD_LINES) + "\n")
        # Whole seconds keep sums off the half hundredths, where what is printed hangs on the
        # order in which Perl's hashes come; in fine steps such sums are rare.
        out.options = rnd.choice((["-af"], ["-afc"], ["-ac"], [], ["-afcst"]))[:]
        if rnd.random() < 0.6:
            out.options += ["-c", rnd.choice(("0", ".25", "0.5", "1", "0.1"))]
        out.options += ["-1"] * skip + ["-m"] * (rnd.random() < 0.5)
        out.options += ["-v"] * (rnd.random() < 0.5)
        return out

    def reference(
        self, out: RandomCase, group: str, zones: bool, words: bool, skip: bool = False
    ) -> None:
        rnd = self.rnd
        turns = []
        for _ in range(rnd.randint(1, 8)):
            name = rnd.choice(("A", "B", "a", "<NA>", "spk:1"))
            turns.append(self.span(12))
            out.ref.append(self.line("SPEAKER", group, turns[-1], "<NA>", name))
        if zones:
            # Else a region without UEM would begin at a speaker boundary, see the class.
            out.ref.append(self.line("SEGMENT", group, (-1.0, -0.5), "<NA>", "A"))
            for _ in range(rnd.randint(1, 2)):
                span = self.span(4, 0.1)
                if rnd.random() < 0.5:
                    out.ref.append(self.line("NOSCORE", group, span, "<NA>", "<NA>"))
                elif not (skip and beside_overlap(span, turns)):
                    kind = rnd.choice(("laugh", "cough", "breath", "other"))
                    out.ref.append(self.line("NON-LEX", group, span, kind, "A"))
        if words:
            for _ in range(rnd.randint(1, 4)):
                out.ref.append(self.line("LEXEME", group, self.span(3), "lex", "A"))
        for kind, subtype in (
            ("NON-SPEECH", "music"),
            ("NO_RT_METADATA", "<NA>"),
            ("SEGMENT", "<NA>"),
        ):
            if rnd.random() < 0.1:
                out.ref.append(self.line(kind, group, self.span(12), subtype, "A"))

    def system(self, out: RandomCase, group: str) -> None:
        rnd = self.rnd
        if rnd.random() < 0.1:
            return
        if rnd.random() < 0.1:
            group = group.replace(" A", " a").replace(" 1", " 2")
        for _ in range(rnd.randint(0, 8)):
            name = rnd.choice(("x", "y", "z", "A", "X"))
            out.sys.append(self.line("SPEAKER", group, self.span(12), "<NA>", name))

    def extras(self, out: RandomCase, groups: list[str]) -> None:
        rnd = self.rnd
        if rnd.random() < 0.2:
            out.sys.append(self.line("SPEAKER", "only-sys 1", self.span(12), "<NA>", "x"))
        for side in (out.ref, out.sys):
            if rnd.random() < 0.2:
                side += [";; comment\n", "# comment\n", "\n"]
            if rnd.random() < 0.1:
                name, kind = rnd.choice(("A", "x")), rnd.choice(("child", "adult_male"))
                side.append(f"SPKR-INFO {rnd.choice(groups)} <NA> <NA> <NA> {kind} {name} <NA>\n")

    def uem(self, groups: list[str]) -> list[str]:
        rnd = self.rnd
        lines = []
        for group in groups:
            if rnd.random() < 0.2:
                continue
            name, channel = group.split(" ")
            if rnd.random() < 0.2:
                name = "some/where/" + name
            if rnd.random() < 0.1:
                channel = "9"
            cuts = sorted({self.time(50) for _ in range(2 * rnd.randint(1, 3))})
            for start, end in zip(cuts[::2], cuts[1::2], strict=False):
                lines.append(f"{name} {channel} {start:g} {end:g}\n")
        rnd.shuffle(lines)
        return lines
