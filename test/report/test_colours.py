"""Distances of the colours of speakers and errors, by CIEDE2000."""

import math

import pytest

from diarize.report import colours

PALETTES = {
    "light": (colours.SPEAKER_COLOURS, colours.EXTRA_COLOURS, colours.ERROR_COLOURS, "#FFFFFF"),
    "dark": (colours.DARK_SPEAKER_COLOURS, colours.DARK_EXTRA_COLOURS,
             colours.DARK_ERROR_COLOURS, "#14171C"),
}  # fmt: skip


def linear(colour):
    values = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]


def lab(colour):
    """CIE L*a*b* of an sRGB colour under D65."""
    r, g, b = linear(colour)
    x = (0.4124564 * r + 0.3575761 * g + 0.1804375 * b) / 0.95047
    y = 0.2126729 * r + 0.7151522 * g + 0.0721750 * b
    z = (0.0193339 * r + 0.1191920 * g + 0.9503041 * b) / 1.08883
    fx, fy, fz = (math.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116
                  for v in (x, y, z))  # fmt: skip
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def ciede2000(one, two):
    """The difference of two colours in L*a*b* (Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = one, two
    mean = (math.hypot(a1, b1) + math.hypot(a2, b2)) / 2
    g = 0.5 * (1 - math.sqrt(mean**7 / (mean**7 + 25**7)))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = math.hypot(a1, b1), math.hypot(a2, b2)
    h1, h2 = (math.degrees(math.atan2(b, a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    dl, dc = l2 - l1, c2 - c1
    dh = 2 * math.sqrt(c1 * c2) * math.sin(math.radians(turn / 2))
    lm, cm = (l1 + l2) / 2, (c1 + c2) / 2
    hm = h1 + h2 if c1 * c2 == 0 else (h1 + turn / 2) % 360
    t = (1 - 0.17 * math.cos(math.radians(hm - 30)) + 0.24 * math.cos(math.radians(2 * hm))
         + 0.32 * math.cos(math.radians(3 * hm + 6)) - 0.2 * math.cos(math.radians(4 * hm - 63)))
    sl = 1 + 0.015 * (lm - 50) ** 2 / math.sqrt(20 + (lm - 50) ** 2)
    sc, sh = 1 + 0.045 * cm, 1 + 0.015 * cm * t
    theta = 30 * math.exp(-(((hm - 275) / 25) ** 2))
    rt = -math.sin(math.radians(2 * theta)) * 2 * math.sqrt(cm**7 / (cm**7 + 25**7))
    x, y, z = dl / sl, dc / sc, dh / sh
    return math.sqrt(x * x + y * y + z * z + rt * y * z)


def contrast(one, two):
    """The contrast ratio of WCAG 2."""
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in map(linear, (one, two)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_gives_published_values():
    assert ciede2000((50, 2.6772, -79.7751), (50, 0, -82.7485)) == pytest.approx(2.0425, abs=1e-4)
    assert ciede2000((50, -1, 2), (50, 0, 0)) == pytest.approx(2.3669, abs=1e-4)
    assert ciede2000((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514)) == pytest.approx(
        0.9082, abs=1e-4
    )


@pytest.mark.parametrize("theme", PALETTES)
def test_no_error_has_the_colour_of_a_speaker(theme):
    speakers, extra, errors, ground = PALETTES[theme]
    distances = {
        (kind, speaker): ciede2000(lab(error), lab(speaker))
        for kind, error in errors.items() for speaker in (*speakers, *extra)
    }  # fmt: skip
    assert min(distances.values()) > 15, min(distances, key=distances.get)
    kinds = list(errors.values())
    assert min(ciede2000(lab(a), lab(b)) for a in kinds for b in kinds if a < b) > 20
    assert min(contrast(colour, ground) for colour in kinds) > 3
    assert min(contrast(colour, ground) for colour in speakers) > 2.5


@pytest.mark.parametrize("theme", PALETTES)
def test_speakers_have_different_colours(theme):
    speakers = PALETTES[theme][0]
    distances = [ciede2000(lab(a), lab(b)) for a in speakers for b in speakers if a < b]
    assert min(distances) > 9
    assert len(speakers) == 12
