"""Page of a recording as one HTML file, from the content and the files in ``assets``."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from diarize import __version__
from diarize.report import colours
from diarize.report.page.content import PageContent, SpeakerRow
from diarize.report.page.heat import Heat
from diarize.report.page.sound import Sound
from diarize.report.page.tables import page_tables, rate

_SCRIPTS = (
    "base.js", "player.js", "series.js", "painter.js", "pointer.js", "timeline.js", "lists.js",
    "main.js",
)  # fmt: skip
_ICONS = (
    '<svg class="start" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">'
    '<path fill="currentColor" d="M3 1.5v13l11-6.5z"/></svg>'
    '<svg class="pause" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">'
    '<path fill="currentColor" d="M3 2h4v12H3zM9 2h4v12H9z"/></svg>'
)
_KEYS = (
    ("Space", "play and pause"),
    ("← →", "1 s back and forth; with Shift 10 s"),
    ("+ −", "zoom in and out"),
    ("0", "show the whole recording"),
    ("n p", "next and previous error"),
    ("Home End", "start and end of the recording, on the timeline"),
    ("Ctrl wheel", "zoom at the pointer; wheel sideways or with Shift: move"),
)


def recording_page(
    content: PageContent, sound: Sound | None, sources: Mapping[str, str] | None = None
) -> str:
    """Return the page as HTML text that refers to nothing outside of it but a linked sound.

    ``sources`` are named in the footer, such as the file of the reference.
    """
    mode = sound.mode if sound else "none"
    script = "(() => {\n\"use strict\";\n" + "".join(map(read_asset, _SCRIPTS)) + "})();\n"
    scored = content.errors is not None
    holder = f'<script type="text/plain" id="sound">{sound.opus}</script>' if sound else ""
    body = fill(read_asset("recording.html"), {
        "playback": _playback(content) if mode != "none" else _clock(content),
        "follow": "" if mode != "none" else " hidden",
        "navigation": _navigation() if scored else "",
        "duration": f"{content.seconds:.3f}",
        "legend": _legend(content),
        "tables": page_tables(content),
        "and_errors": " and errors" if scored else "",
        "error_list": (
            '<details id="error-list"><summary>All errors as a table</summary></details>'
            if scored else ""
        ),
        "keys": "".join(
            "<dt>" + " ".join(f"<kbd>{key}</kbd>" for key in keys.split()) + f"</dt><dd>{text}</dd>"
            for keys, text in _KEYS if scored or keys != "n p"
        ),
        "footer": _footer(content, sources or {}),
        "content": script_json(page_data(content, sound)),
        "sound": holder if mode == "embed" else "",
        "script": script,
    })  # fmt: skip
    return framed(content.recording, _facts(content), _policy(script, mode), body)


def framed(title: str, facts: str, policy: str, body: str, more_style: str = "") -> str:
    """Return a page as HTML text, with the head and the heading that all pages have.

    title: plain text; facts and body: HTML; policy: content security policy; more_style: CSS
    """
    return fill(read_asset("frame.html"), {
        "policy": policy,
        "title": escape(title),
        "style": style() + more_style,
        "facts": facts,
        "body": body.strip(),
    })  # fmt: skip


def read_asset(name: str) -> str:
    """Return the text of a file in ``assets``."""
    return (files("diarize.report.page") / "assets" / name).read_text(encoding="utf-8")


def fill(template: str, parts: Mapping[str, str]) -> str:
    """Return ``template`` with each ``@@name@@`` replaced; replacements are not searched.

    >>> fill("<b>@@x@@</b>", {"x": "@@y@@"})
    '<b>@@y@@</b>'
    """
    return re.sub(r"@@(\w+)@@", lambda found: parts[found[1]], template)


def style() -> str:
    """Return the CSS of the pages, with the colours of speakers and errors as variables."""
    light = _variables(colours.SPEAKER_COLOURS, colours.EXTRA_COLOURS, colours.ERROR_COLOURS)
    dark = _variables(
        colours.DARK_SPEAKER_COLOURS, colours.DARK_EXTRA_COLOURS, colours.DARK_ERROR_COLOURS
    )
    return (
        f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        + read_asset("style.css")
    )


def _variables(speakers: tuple, extra: tuple, errors: Mapping[str, str]) -> str:
    named = {f"speaker-{i}": colour for i, colour in enumerate(speakers)}
    named |= {f"extra-{i}": colour for i, colour in enumerate(extra)}
    named |= {f"error-{kind.replace(' ', '-')}": colour for kind, colour in errors.items()}
    return " ".join(f"--{name}: {colour};" for name, colour in named.items())


def script_json(value: Any) -> str:
    """Return JSON for a ``<script>`` element, without a character that could end it.

    >>> script_json("</script>")
    '"\\\\u003c/script>"'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def page_data(content: PageContent, sound: Sound | None) -> dict[str, Any]:
    """Return the data of the page's script."""
    data: dict[str, Any] = {
        "duration": content.seconds,
        "noun": content.noun,
        "collar": content.collar,
        "sound": {"mode": sound.mode if sound else "none", "url": sound.url if sound else ""},
        "rows": [_row(row) for row in content.rows],
        "errors": None,
        "regions": None,
        "waveform": None,
        "posteriors": _heat(content.heat, content.of_side("output")) if content.heat else None,
    }
    if content.errors is not None:
        counts = [
            [getattr(span, kind) for span in content.errors]
            for kind in ("miss", "false_alarm", "confusion")
        ]
        data["errors"] = {
            "start": _times(span.start for span in content.errors),
            "end": _times(span.end for span in content.errors),
            "count": counts,
        }
        data["regions"] = [_times(a for a, _ in content.regions),
                           _times(b for _, b in content.regions)]  # fmt: skip
    if sound is not None:
        data["waveform"] = {"peaks": _base64(sound.peaks), "step": sound.step}
    return data


def _row(row: SpeakerRow) -> dict[str, Any]:
    confidence = [None if t.confidence is None else round(t.confidence, 3) for t in row.turns]
    return {
        "side": row.side,
        "label": row.label,
        "colour": row.colour,
        "starts": _times(turn.start for turn in row.turns),
        "ends": _times(turn.end for turn in row.turns),
        "confidence": confidence if any(c is not None for c in confidence) else None,
    }


def _heat(heat: Heat, rows: list[SpeakerRow]) -> dict[str, Any]:
    colour = {row.label: row.colour for row in rows}
    return {
        "step": heat.step,
        "columns": heat.values.shape[1],
        "values": _base64(heat.values),
        "queries": [
            {
                "row": i,
                "label": label,
                "colour": colour.get(label, "extra-0"),
                "name": f"query {query}, activity {activity:.2f}",
            }
            for i, (query, activity, label) in enumerate(
                zip(heat.queries, heat.activities, heat.labels, strict=True)
            )
        ],
    }


def _times(values) -> list[float]:
    """Return seconds to the microsecond."""
    return [round(value, 6) for value in values]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _policy(script: str, mode: str) -> str:
    """Return a content security policy: this script only, and no request to anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    media = {"embed": "blob:", "link": "'self' file: http: https:", "none": "'none'"}[mode]
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        f"media-src {media}; base-uri 'none'; form-action 'none'"
    )


def duration_text(seconds: float) -> str:
    """Return a duration in words, without units that are 0.

    >>> duration_text(3723.4), duration_text(3600), duration_text(9.25)
    ('1 h 2 min 3 s', '1 h', '9.2 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = {"h": hours, "min": minutes, "s": rest}
    return " ".join(f"{value} {unit}" for unit, value in parts.items() if value)


def clock(seconds: float) -> str:
    """Return a time as the timeline shows it.

    >>> clock(75.2), clock(3725)
    ('1:15', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _facts(content: PageContent) -> str:
    def count(number: int) -> str:
        return f"<strong>{number}</strong> {content.noun}{'' if number == 1 else 's'}"

    facts = [f"<strong>{duration_text(content.seconds)}</strong>"]
    output, reference = len(content.of_side("output")), len(content.of_side("reference"))
    facts.append(f"{count(output)} in the output"
                 + (f", {count(reference)} in the reference" if content.errors is not None else ""))
    for row in content.scores:
        if row.collar == content.collar and not row.named:
            times = row.times
            facts.append(f"DER <strong>{rate(times, times.error)}</strong>")
            facts += [
                f"{name} <strong>{rate(times, seconds)}</strong>"
                for name, seconds in (("missed", times.miss), ("false alarm", times.false_alarm),
                                      ("confusion", times.confusion))
            ]  # fmt: skip
            facts.append(f"collar {row.collar:.2f} s")
    return "".join(f"<span>{fact}</span>" for fact in facts)


def _clock(content: PageContent) -> str:
    total = clock(content.seconds)
    return f'<span class="clock"><span id="time">0:00.0</span> / {total}</span>'


def _playback(content: PageContent) -> str:
    speeds = "".join(
        f"<option value=\"{value}\"{' selected' if value == '1' else ''}>{value} ×</option>"
        for value in ("0.5", "0.75", "1", "1.25", "1.5", "2")
    )
    return (
        f'<button id="play" type="button" aria-label="Play" title="Space">{_ICONS}</button>\n'
        + _clock(content)
        + f'\n<label class="group">Speed <select id="speed">{speeds}</select></label>'
    )


def _navigation() -> str:
    kinds = "".join(f"<option>{kind}</option>" for kind in colours.ERROR_COLOURS)
    return (
        '<div class="group" role="group" aria-label="Errors">'
        '<button id="previous-error" type="button" title="p">Previous</button>'
        '<select id="error-kind" aria-label="Kind of error">'
        f'<option value="">error</option>{kinds}</select>'
        '<button id="next-error" type="button" title="n">Next</button></div>'
    )


def _legend(content: PageContent) -> str:
    items = []
    if content.errors is not None:
        items.append(("unscored", "not scored"))
    if content.heat is not None:
        items.append(("heat", "posterior of the query, 0 to 1"))
    return "".join(
        f'<li><span class="swatch {name}"></span>{text}</li>' for name, text in items
    )


def _footer(content: PageContent, sources: Mapping[str, str]) -> str:
    lines = [f"{escape(name)}: <bdi>{escape(path)}</bdi>" for name, path in sources.items()]
    lines.append(f"Made by diarize-report {escape(__version__)}.")
    return "".join(f"<p>{line}</p>" for line in lines)
