"""Colours of speakers and errors, in pictures and pages.

No error has the colour of a speaker: errors are red, orange and magenta, speakers are not.
``test/report/test_colours.py`` measures the distances (CIEDE2000).
"""

# By order of appearance; repeated beyond twelve speakers.
SPEAKER_COLOURS = (
    "#0072B2", "#009E73", "#8A63C9", "#3FA0DE", "#8C6D31", "#86A82F",
    "#3B4A9E", "#2BA89D", "#AE8FE0", "#5C7420", "#6C8AA8", "#A58E3F",
)  # fmt: skip
# Speakers of the output without a partner in the reference.
EXTRA_COLOURS = ("#8A8A8A", "#A9A9A9", "#6E6E6E")
ERROR_COLOURS = {"missed": "#C4122D", "false alarm": "#E8590C", "confusion": "#D6168F"}

# The same colours on a dark ground.
DARK_SPEAKER_COLOURS = (
    "#4299D9", "#22B98C", "#A284E3", "#7CC4F5", "#B8925A", "#A9CC4F",
    "#6C7EDB", "#4CCBC0", "#CBB6F2", "#87A43A", "#94AFC9", "#CDB86A",
)  # fmt: skip
DARK_EXTRA_COLOURS = ("#8F8F8F", "#B5B5B5", "#737373")
DARK_ERROR_COLOURS = {"missed": "#FF4D5E", "false alarm": "#FF8A3C", "confusion": "#FF5AC8"}
