"""Synthetic voices for the offline mini recipes: eSpeak NG, from pip and nothing else."""
