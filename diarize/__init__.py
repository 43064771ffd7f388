"""End-to-end neural diarization as mask segmentation, with Kaldi-format recipes."""

__version__ = "0.1.0"

# Name on a package index, where "diarize" is another project.
DISTRIBUTION = "diarize-m2f"
