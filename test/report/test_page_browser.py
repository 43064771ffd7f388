"""Page of a recording in a headless Chromium: sound, cursor, zoom, keys, errors, labels."""

import json
import os
import shutil
import time
from contextlib import contextmanager

import pytest
from meeting_files import EVIL, LABELS, SECONDS

WIDTH = 1200


@pytest.fixture(scope="session")
def browser():
    """A running Chromium; a skip, by name, without it."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = (os.environ.get("CHROMIUM"), *map(shutil.which, ("chromium", "chromium-browser")))
    path = next(filter(None, found), None)
    if not path:
        pytest.skip("chromium not found: apt-get install chromium, or set CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def view(browser):
    """Open a page file; fails afterwards if the browser reported anything."""

    @contextmanager
    def start(path, **options):
        said = []
        size = {"width": WIDTH, "height": 900}
        context = browser.new_context(**{"viewport": size, **options})
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        asked = []
        page.goto(path.as_uri())
        until(page, "plot.dataset.to !== undefined")
        yield page
        context.close()
        assert said == []
        allowed = ("file:", "blob:", "data:")
        assert [url for url in asked if not url.startswith(allowed)] == []

    return start


@pytest.fixture(scope="session")
def html(meeting):
    """The page with sound and posteriors."""
    return meeting.page("browser.html", "--posteriors", str(meeting.posteriors))


def until(page, condition, seconds=30):
    """Wait until a JavaScript expression holds; the page itself may evaluate no text."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(20)


def position(page):
    return float(page.get_attribute("#plot", "aria-valuenow"))


def visible(page):
    return tuple(float(page.get_attribute("#plot", f"data-{end}")) for end in ("from", "to"))


def settle(page):
    """Two frames, after which a change is drawn."""
    frames = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    page.evaluate(f"() => {frames}")


def ready(page):
    """Wait for the sound."""
    until(page, "audio.readyState >= 2")


def cursor(page):
    """The time at which the cursor is drawn."""
    plot, line = (page.locator(name).bounding_box() for name in ("#plot", "#cursor"))
    low, high = visible(page)
    return low + (line["x"] + 1 - plot["x"]) / plot["width"] * (high - low)


def test_screenshots(view, html, tmp_path):
    """Whole page, light and dark, for a look; the pictures differ and are not empty."""
    sizes = []
    for scheme in ("light", "dark"):
        with view(html, color_scheme=scheme) as page:
            settle(page)
            picture = page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
            sizes.append(len(picture))
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert min(sizes) > 50_000


def test_playing_moves_the_cursor(view, html):
    with view(html) as page:
        ready(page)
        page.click("#play")
        until(page, "+plot.ariaValueNow > 0.4")
        assert page.get_attribute("#play", "aria-label") == "Pause"
        page.click("#play")
        until(page, "audio.paused")
        settle(page)
        assert page.get_attribute("#play", "aria-label") == "Play"
        stopped = position(page)
        assert 0.4 < stopped < 10
        assert stopped == pytest.approx(page.evaluate("audio.currentTime"), abs=0.02)
        assert cursor(page) == pytest.approx(stopped, abs=SECONDS / WIDTH * 2)


def test_a_click_plays_from_there(view, html):
    with view(html) as page:
        ready(page)
        box = page.locator("#plot").bounding_box()
        page.click("#plot", position={"x": box["width"] / 4, "y": 60})
        until(page, f"+plot.ariaValueNow > {SECONDS / 4}")
        assert page.evaluate("!audio.paused")
        assert SECONDS / 4 <= position(page) < SECONDS / 4 + 5


def test_the_view_follows_the_cursor(view, html):
    with view(html) as page:
        ready(page)
        for _ in range(6):
            page.keyboard.press("+")
        settle(page)
        first = visible(page)
        assert first[1] - first[0] < 1
        page.keyboard.press("Space")
        # Both at one moment: while it plays, the time goes on between two questions.
        until(page, f"+plot.dataset.from > {first[1] / 2}"
              " && +plot.ariaValueNow >= plot.dataset.from - 0.1"
              " && +plot.ariaValueNow <= +plot.dataset.to + 0.1")  # fmt: skip
        page.keyboard.press("Space")


def test_zoom_by_buttons_and_keys_wheel_and_drag(view, html):
    with view(html) as page:
        assert visible(page) == (0, SECONDS)
        page.click("#zoom-in")
        settle(page)
        assert visible(page) == (0, SECONDS / 2)  # the cursor, at 0, keeps its place
        page.click("#zoom-out")
        settle(page)
        assert visible(page) == (0, SECONDS)
        page.keyboard.press("+")
        page.keyboard.press("+")
        settle(page)
        assert visible(page) == (0, SECONDS / 4)
        page.keyboard.press("-")
        settle(page)
        assert visible(page) == (0, SECONDS / 2)
        page.keyboard.press("0")
        settle(page)
        assert visible(page) == (0, SECONDS)
        box = page.locator("#plot").bounding_box()
        middle = box["x"] + box["width"] / 2
        page.mouse.move(middle, box["y"] + 60)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -100)
        page.keyboard.up("Control")
        settle(page)
        low, high = visible(page)
        assert high - low == pytest.approx(SECONDS * 2.718281828**-0.5, rel=1e-3)
        assert (low + high) / 2 == pytest.approx(SECONDS / 2, abs=0.1)
        page.mouse.down()
        page.mouse.move(middle + 100, box["y"] + 60)
        page.mouse.up()
        settle(page)
        moved = visible(page)
        assert moved[0] == pytest.approx(low - 100 / box["width"] * (high - low), abs=0.02)
        assert page.evaluate("audio.paused"), "a drag is no click"


def test_keys_move_and_play(view, html):
    with view(html) as page:
        ready(page)
        page.keyboard.press("ArrowRight")
        assert position(page) == pytest.approx(1)
        page.keyboard.press("Shift+ArrowRight")
        assert position(page) == pytest.approx(11)
        page.keyboard.press("ArrowLeft")
        assert position(page) == pytest.approx(10)
        page.focus("#plot")
        page.keyboard.press("End")
        assert position(page) == pytest.approx(SECONDS)
        page.keyboard.press("Home")
        assert position(page) == 0
        page.keyboard.press("Space")
        until(page, "+plot.ariaValueNow > 0.2")
        page.keyboard.press("Space")
        until(page, "audio.paused")


def test_everything_can_be_reached_by_tab(view, html):
    with view(html) as page:
        seen = []
        for _ in range(40):
            page.keyboard.press("Tab")
            seen.append(page.evaluate(
                "(e => e.id || e.getAttribute('aria-label') || e.textContent)"
                "(document.activeElement)"
            ))  # fmt: skip
        order = ["play", "speed", "zoom-out", "zoom-in", "fit", "previous-error", "error-kind",
                 "next-error", "follow"]  # fmt: skip
        assert seen[: len(order)] == order
        assert "plot" in seen
        assert f"Next turn of {LABELS[2]} (reference)" in seen
        names = page.evaluate(
            "[...document.querySelectorAll('button, select, input, [role]')]"
            ".filter(e => !e.closest('[hidden]')).map(e => e.getAttribute('aria-label') ||"
            " e.textContent.trim() || (e.labels && e.labels.length && e.labels[0].textContent))"
        )
        assert all(names)
        page.focus("#speed")
        page.keyboard.press("Space")  # is that of the control, not of the player
        assert page.evaluate("audio.paused")


@pytest.mark.parametrize("collar", [0.0, 0.25])
def test_errors_shown_are_the_seconds_of_diarize_score(view, meeting, collar):
    html = meeting.page(f"collar{collar}.html", "--collar", str(collar), "--audio", "none")
    scores = meeting.scores(collar)
    with view(html) as page:
        page.click("#error-list summary")
        seconds = {"missed": 0.0, "false alarm": 0.0, "confusion": 0.0}
        rows = page.locator("#error-list tbody tr")
        rows.nth(10).wait_for(state="attached")
        for _, _, length, kind, count in rows.evaluate_all(
            "all => all.map(row => [...row.cells].map(cell => cell.textContent))"
        ):
            seconds[kind] += float(length) * int(count)
        wanted = [scores[kind] for kind in ("miss", "false_alarm", "confusion")]
        # Each row is rounded to 0.01 s.
        assert list(seconds.values()) == pytest.approx(wanted, abs=0.005 * rows.count())
        table = page.locator("section", has_text="Scores").locator("table").first.inner_text()
        shown = next(line for line in table.splitlines() if line.startswith(f"{collar:.2f} s"))
        assert all(f"{value:.2f} s" in shown for value in wanted)
        assert f"{100 * scores['der']:.2f} %" in shown


def test_errors_are_drawn_where_they_are(view, html):
    with view(html) as page:
        settle(page)
        content = json.loads(page.locator("#content").text_content())
        lanes = page.locator("#gutter .name", has_text="false alarm").bounding_box()
        plot = page.locator("#plot").bounding_box()
        y = lanes["y"] + lanes["height"] / 2 - plot["y"]
        errors = content["errors"]
        spans = [(a, b) for a, b, n in zip(errors["start"], errors["end"], errors["count"][1],
                                           strict=True) if n]  # fmt: skip
        columns = page.evaluate(
            "y => { const c = document.getElementById('canvas'), s = c.width / c.clientWidth;"
            "const d = c.getContext('2d').getImageData(0, Math.round(y * s), c.width, 1).data;"
            "const out = []; for (let i = 0; i < d.length; i += 4)"
            "out.push(d[i] > 180 && d[i + 1] < 200 && d[i + 2] < 120); return out; }", y,
        )  # fmt: skip
        pixel = SECONDS / len(columns)
        for x, orange in enumerate(columns):
            a, b = x * pixel, (x + 1) * pixel
            if orange:
                assert any(lo - 2 * pixel < b and a < hi + 2 * pixel for lo, hi in spans), a
        covered = [any(columns[max(0, int(lo / pixel) - 1) : int(hi / pixel) + 2])
                   for lo, hi in spans]  # fmt: skip
        assert all(covered)


def test_next_error_and_next_turn(view, html):
    with view(html) as page:
        content = json.loads(page.locator("#content").text_content())
        errors = content["errors"]
        missed = [a for a, n in zip(errors["start"], errors["count"][0], strict=True) if n]
        page.select_option("#error-kind", "missed")
        for start in missed[:3]:
            page.click("#next-error")
            assert position(page) == pytest.approx(start, abs=0.01)
        page.click("#previous-error")
        assert position(page) == pytest.approx(missed[1], abs=0.01)
        row = next(row for row in content["rows"] if row["label"] == "spk1")
        later = min(start for start in row["starts"] if start > missed[1] + 0.01)
        page.click("#gutter button:has-text('spk1')")
        assert position(page) == pytest.approx(later, abs=0.01)
        assert "spk1" in page.inner_text("#now")


def test_labels_are_shown_as_text(view, html):
    with view(html) as page:
        assert page.title() == "meeting"
        names = page.locator("#gutter bdi").all_text_contents()
        assert set(LABELS) <= set(names)
        assert page.locator("main script").count() == 0
        page.click("#turns summary")
        cells = page.locator("#turns td bdi").all_text_contents()
        assert set(LABELS) <= set(cells)
        row = next(r for r in json.loads(page.locator("#content").text_content())["rows"]
                   if r["label"] == EVIL)  # fmt: skip
        page.evaluate(f"location.hash = 't={row['starts'][0] + 0.05}'")
        until(page, "+plot.ariaValueNow > 0")
        assert EVIL in page.inner_text("#now")
        assert EVIL in page.get_attribute("#plot", "aria-valuetext")
        page.evaluate("scrollTo(0, 0)")
        plot = page.locator("#plot").bounding_box()
        lane = page.locator("#gutter button", has_text="document.title").first.bounding_box()
        x = plot["width"] * (row["starts"][0] + row["ends"][0]) / 2 / SECONDS
        page.mouse.move(plot["x"] + x, lane["y"] + lane["height"] / 2)
        assert EVIL in page.inner_text("#tip")
        assert page.title() == "meeting"


def test_linked_sound_plays(view, meeting):
    with view(meeting.page("linked.html", "--audio", "link")) as page:
        ready(page)
        assert page.evaluate("audio.duration") == pytest.approx(SECONDS, abs=0.01)
        page.keyboard.press("Space")
        until(page, "+plot.ariaValueNow > 0.2")


def test_a_missing_link_is_told(browser, meeting, tmp_path):
    html = tmp_path / "moved.html"
    html.write_text(meeting.page("gone.html", "--audio", "link").read_text(encoding="utf-8"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(html.as_uri())
    page.wait_for_selector("#problem:not([hidden])")
    assert "cannot play" in page.inner_text("#problem")
    context.close()


def test_without_sound_the_timeline_still_works(view, meeting):
    with view(meeting.page("mute.html", "--audio", "none")) as page:
        assert page.locator("#play").count() == 0
        page.keyboard.press("Space")
        box = page.locator("#plot").bounding_box()
        page.click("#plot", position={"x": box["width"] / 2, "y": 60})
        assert position(page) == pytest.approx(SECONDS / 2, abs=0.1)
