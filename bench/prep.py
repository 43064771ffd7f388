"""Data preparation of many utterances: from a tree of files to data directories, and what
follows, beside other ways in the same run.

    python bench/prep.py [--utterances 100000] [--rounds 3] [--only validate] [--work DIR]

Makes a tree like LibriSpeech's (``<speaker>/<chapter>/*.flac``, hard links of a few files) and
times whole commands, ours and the peers in turn: shell (find, sort, awk, join: how Kaldi's
scripts go about it, in their simplest form), plain Python without checks, lhotse where it can
be imported, and Kaldi's own scripts if ``KALDI_ROOT`` is set.  Shown are medians
of seconds by the clock and of CPU seconds; the ratio is of CPU seconds, which a busy machine
changes little.  Last comes one line per figure,
``BENCH name=… value=… unit=s ratio=… against=…`` (value by the clock; ratio: the peer's CPU
seconds over ours, above 1 where ours are fewer).
"""

import argparse
import importlib.util
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent
PER_SPEAKER = 50
OURS = "ours"
CHAPTER = 25
_LINKS = 20000  # of one file: below the limit of file systems


def make_tree(root: Path, utterances: int) -> Path:
    """Return the directory of a LibriSpeech-like part of hard links, transcripts beside them."""
    part = root / "LibriSpeech/train-clean-100"
    rng = np.random.default_rng(0)
    for number in range(utterances):
        speaker, own = divmod(number, PER_SPEAKER)
        folder = part / f"{speaker + 1000}" / f"{100000 + speaker * 10 + own // CHAPTER}"
        if own % CHAPTER == 0:
            folder.mkdir(parents=True)
        if number % _LINKS == 0:
            source = root / f"source{number}.flac"
            soundfile.write(source, rng.normal(0, 0.1, 8000), 16000)
        name = f"{folder.parent.name}-{folder.name}-{own:04d}"
        os.link(source, folder / f"{name}.flac")
        if own % CHAPTER == 0:
            stem = name.rpartition("-")[0]
            text = "".join(f"{stem}-{own + i:04d} SOME WORDS\n" for i in range(CHAPTER))
            (folder / f"{stem}.trans.txt").write_text(text)
    return part


def make_data(part: Path, data: Path) -> None:
    """Write a data directory with text and lengths, in the plainest way."""
    data.mkdir(parents=True)
    rows = sorted((p.stem, p) for p in part.rglob("*.flac"))
    tables = {
        "wav.scp": lambda key, path: path,
        "utt2spk": lambda key, path: key.split("-")[0],
        "text": lambda key, path: f"SOME WORDS OF {key}",
        "utt2lang": lambda key, path: "eng",
        "reco2dur": lambda key, path: "0.500",
        "utt2dur": lambda key, path: "0.500",
    }
    for name, value in tables.items():
        with open(data / name, "w", encoding="utf-8") as handle:
            handle.writelines(f"{key} {value(key, path)}\n" for key, path in rows)
    speakers: dict[str, list[str]] = {}
    for key, _ in rows:
        speakers.setdefault(key.split("-")[0], []).append(key)
    with open(data / "spk2utt", "w", encoding="utf-8") as handle:
        handle.writelines(f"{s} {' '.join(utts)}\n" for s, utts in speakers.items())


def halve(data: Path) -> None:
    """Write the two halves of a directory beside it, by speakers, to be combined."""
    for number in (0, 1):
        half = data.parent / f"half{number}"
        half.mkdir()
        for name in ("wav.scp", "utt2spk", "text", "utt2lang", "reco2dur", "utt2dur", "spk2utt"):
            lines = (data / name).read_text().splitlines(keepends=True)
            middle = len(lines) // 2
            kept = lines[:middle] if number == 0 else lines[middle:]
            (half / name).write_text("".join(kept))


# Every way of doing a thing is a command for bash: {tree} is the corpus, {data} a good data
# directory, {copy} one of its own to be changed, {half0} and {half1} its halves, {out} free.
SHELL = {
    "prepare": r"""mkdir {out}; find {tree}/ -name '*.flac' | awk -F/ '{{ name = $NF
        sub(/\.flac$/, "", name); split(name, s, "-"); print name " " $0 > "{out}/wav.scp.raw"
        print name " " s[1] > "{out}/utt2spk.raw" }}'
        for name in wav.scp utt2spk; do sort -k1,1 {out}/$name.raw > {out}/$name; done
        awk '{{ u[$2] = u[$2] " " $1 }} END {{ for (s in u) print s u[s] }}' {out}/utt2spk |
          sort -k1,1 > {out}/spk2utt""",
    "validate": r"""for f in wav.scp utt2spk text utt2lang reco2dur utt2dur spk2utt; do
          sort -c -k1,1 {data}/$f && cut -d' ' -f1 {data}/$f | uniq -d | awk '{{ exit 1 }}'
          awk 'NF < 2 {{ exit 1 }}' {data}/$f; done
        cut -d' ' -f1 {data}/utt2spk > {out}; for f in wav.scp text utt2lang utt2dur reco2dur; do
          cut -d' ' -f1 {data}/$f | cmp - {out}; done
        awk '{{ for (i = 2; i <= NF; i++) print $i, $1 }}' {data}/spk2utt | sort |
          cmp - {data}/utt2spk
        awk '{{ print $2 }}' {data}/wav.scp | while read -r f; do [ -f "$f" ] || exit 1; done""",
    "fix": r"""cd {copy}; mkdir .old; cp * .old 2> /dev/null || true
        cut -d' ' -f1 utt2spk | sort -u > .keys
        for f in wav.scp text utt2lang utt2dur reco2dur; do
          sort -u -k1,1 $f | cut -d' ' -f1 | join - .keys > .k; mv .k .keys; done
        for f in wav.scp utt2spk text utt2lang utt2dur reco2dur; do
          sort -u -k1,1 $f | awk 'NR == FNR {{ k[$1]; next }} $1 in k' .keys - > .new
          mv .new $f; done
        awk '{{ u[$2] = u[$2] " " $1 }} END {{ for (s in u) print s u[s] }}' utt2spk |
          sort -k1,1 > spk2utt""",
    "split": r"""mkdir {out}; n=$(wc -l < {data}/utt2spk)
        awk -v n=$n -v out={out} '{{ p = int((NR - 1) * 32 / n) + 1
          print > (out "/utt2spk." p) }}' {data}/utt2spk
        for p in $(seq 32); do mkdir {out}/$p
          for f in wav.scp utt2spk text utt2lang utt2dur reco2dur; do
            awk 'NR == FNR {{ k[$1]; next }} $1 in k' {out}/utt2spk.$p {data}/$f > {out}/$p/$f; done
          awk '{{ u[$2] = u[$2] " " $1 }} END {{ for (s in u) print s u[s] }}' {out}/$p/utt2spk |
            sort -k1,1 > {out}/$p/spk2utt; done""",
    "subset": r"""mkdir {out}; shuf -n {tenth} --random-source=/dev/zero {data}/utt2spk |
          sort -k1,1 > {out}/utt2spk
        for f in wav.scp text utt2lang utt2dur reco2dur; do
          awk 'NR == FNR {{ k[$1]; next }} $1 in k' {out}/utt2spk {data}/$f > {out}/$f; done
        awk '{{ u[$2] = u[$2] " " $1 }} END {{ for (s in u) print s u[s] }}' {out}/utt2spk |
          sort -k1,1 > {out}/spk2utt""",
    "combine": r"""mkdir {out}; for f in wav.scp utt2spk text utt2lang utt2dur reco2dur; do
          sort -m -k1,1 {half0}/$f {half1}/$f > {out}/$f; done
        awk '{{ u[$2] = u[$2] " " $1 }} END {{ for (s in u) print s u[s] }}' {out}/utt2spk |
          sort -k1,1 > {out}/spk2utt""",
    "lengths": r"""awk '{{ print $2 }}' {data}/wav.scp | xargs soxi -D | paste -d' ' \
          <(cut -d' ' -f1 {data}/wav.scp) - > {out}""",
}
DATADIR = "{python} -m diarize.bin.datadir"
PREPARE = (
    "{python} -m diarize.bin.prepare librispeech --root {root}/.. --out {out} "
    "--train-parts train-clean-100 --hold-out 0.01 --any-counts true"
)
OUR_COMMANDS = {
    "prepare": PREPARE,
    "prepare+lengths": f"{PREPARE}; for s in train dev test; do {DATADIR} reco2dur "
    "{out}/${{s}}_read; done",
    "validate": f"{DATADIR} validate --no-feats {{data}}",
    "fix": f"{DATADIR} fix {{copy}}",
    "split": f"{DATADIR} split {{copy}} 32",
    "subset": f"{DATADIR} subset {{data}} {{tenth}} {{out}}",
    "combine": f"{DATADIR} combine {{out}} {{half0}} {{half1}}",
    "lengths": "rm {copy}/reco2dur; " + f"{DATADIR} reco2dur {{copy}}",
    "read": """{python} -c 'from diarize.kaldi.datadir import DataDir
d = DataDir.load("{data}"); assert len(d.utterances) == {utterances}'""",
}
PLAIN = {
    "prepare": """{python} -c '
import os
rows = []
for folder, _, names in os.walk("{tree}"):
    rows += [(n[:-5], f"{{folder}}/{{n}}") for n in names if n.endswith(".flac")]
rows.sort(); os.mkdir("{out}")
open("{out}/wav.scp", "w").writelines(f"{{k}} {{p}}\\n" for k, p in rows)
open("{out}/utt2spk", "w").writelines("%s %s\\n" % (k, k.split("-")[0]) for k, _ in rows)
speakers = {{}}
for k, _ in rows:
    speakers.setdefault(k.split("-")[0], []).append(k)
open("{out}/spk2utt", "w").writelines(f"{{s}} %s\\n" % " ".join(u) for s, u in speakers.items())
'""",
    "read": """{python} -c '
tables = [dict(line.split(None, 1) for line in open("{data}/" + name)) for name in
          ("wav.scp", "utt2spk", "spk2utt", "text", "utt2lang", "reco2dur", "utt2dur")]
assert len(tables[0]) == {utterances}'""",
    "lengths": """{python} -c '
import soundfile
with open("{out}", "w") as out:
    for line in open("{data}/wav.scp"):
        key, path = line.split()
        info = soundfile.info(path)
        out.write(f"{{key}} {{info.frames / info.samplerate:.3f}}\\n")'""",
}
LHOTSE = {
    "prepare+lengths": """{python} -c '
from lhotse.recipes.librispeech import prepare_librispeech
prepare_librispeech("{root}", dataset_parts="train-clean-100", output_dir="{out}")'""",
    "read": """{python} -c '
from lhotse.kaldi import load_kaldi_data_dir
load_kaldi_data_dir("{data}", 16000)'""",
    "validate": """{python} -c '
from lhotse import load_manifest, validate_recordings_and_supervisions
validate_recordings_and_supervisions(load_manifest("{lhotse}/recordings.jsonl.gz"),
                                     load_manifest("{lhotse}/supervisions.jsonl.gz"))'""",
    "split": """{python} -c '
from lhotse import load_manifest
for name in ("recordings", "supervisions"):
    for i, part in enumerate(load_manifest("{lhotse}/" + name + ".jsonl.gz").split(32)):
        part.to_file("{out}." + f"{{name}}.{{i}}.jsonl.gz")'""",
    "subset": """{python} -c '
from lhotse import load_manifest
part = load_manifest("{lhotse}/supervisions.jsonl.gz").subset(first={tenth})
ids = set(s.recording_id for s in part)
part.to_file("{out}.s.jsonl.gz")
load_manifest("{lhotse}/recordings.jsonl.gz").filter(lambda r: r.id in ids).to_file(
    "{out}.r.jsonl.gz")'""",
}
LHOTSE_SETUP = """
import os
from lhotse.kaldi import load_kaldi_data_dir
recordings, supervisions, _ = load_kaldi_data_dir("{data}", 16000)
os.makedirs("{lhotse}")
recordings.to_file("{lhotse}/recordings.jsonl.gz")
supervisions.to_file("{lhotse}/supervisions.jsonl.gz")
"""
KALDI = {
    "validate": "cd {kaldi} && utils/validate_data_dir.sh --no-feats {data}",
    "fix": "cd {kaldi} && utils/fix_data_dir.sh {copy}",
    "split": "cd {kaldi} && utils/split_data.sh {copy} 32",
    "subset": "cd {kaldi} && utils/subset_data_dir.sh {data} {tenth} {out}",
    "combine": "cd {kaldi} && utils/combine_data.sh {out} {half0} {half1}",
    "lengths": "rm {copy}/reco2dur {copy}/utt2dur; cd {kaldi} && utils/data/get_reco2dur.sh {copy}",
}
TASKS = {
    "prepare": "tree of files to data directories",
    "prepare+lengths": "the same, all headers read",
    "lengths": "lengths from the headers of all files",
    "read": "a data directory, checked",
    "validate": "every fault, all files there",
    "fix": "intersection, sorted",
    "split": "32 parts by speaker",
    "subset": "a tenth of the utterances",
    "combine": "two halves",
}


class Bench:
    """Directories of a run, and its commands."""

    def __init__(self, work: Path, utterances: int) -> None:
        self.work, self.utterances = work, utterances
        self.tree = make_tree(work, utterances)
        self.data = work / "data"
        make_data(self.tree, self.data)
        halve(self.data)
        self.peers: dict[str, dict[str, str]] = {OURS: OUR_COMMANDS, "shell": SHELL,
                                                 "plain python": PLAIN}  # fmt: skip
        if not shutil.which("soxi"):
            SHELL.pop("lengths", None)
        self.kaldi = Path(os.environ.get("KALDI_ROOT", "/opt/kaldi")) / "egs/wsj/s5"
        if (self.kaldi / "utils").is_dir():
            self.peers["kaldi"] = KALDI
        if importlib.util.find_spec("lhotse"):
            self.peers["lhotse"] = LHOTSE
            subprocess.run([sys.executable, "-c", self.fill(LHOTSE_SETUP)], check=True)

    def fill(self, text: str) -> str:
        """Return a command with its places filled in."""
        names = {
            "python": shlex.quote(sys.executable), "tree": self.tree, "data": self.data,
            "root": self.tree.parent,
            "copy": self.work / "copy", "out": self.work / "out", "lhotse": self.work / "lhotse",
            "half0": self.work / "half0", "half1": self.work / "half1", "kaldi": self.kaldi,
            "utterances": self.utterances, "tenth": self.utterances // 10,
        }  # fmt: skip
        return text.format(**names)

    def run(self, command: str) -> tuple[float, float]:
        """Return seconds by the clock and CPU seconds of a command that must succeed."""
        for path in self.work.glob("out*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self.work / "copy", ignore_errors=True)
        if "{copy}" in command:
            shutil.copytree(self.data, self.work / "copy")
        env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "1", "PYTHONPATH": os.pathsep.join(
            filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}  # fmt: skip
        before = cpu_seconds()
        started = time.perf_counter()
        done = subprocess.run(["bash", "-ec", self.fill(command)], env=env, text=True,
                              capture_output=True, check=False)  # fmt: skip
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            raise SystemExit(f"{self.fill(command)}\n{done.stderr[-2000:]}")
        return seconds, cpu_seconds() - before


def cpu_seconds() -> float:
    """Return the CPU seconds of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(bench: Bench, rounds: int, wanted: Callable[[str], bool]) -> None:
    """Run everything ``rounds`` times, tasks and peers in turn, and print table and figures."""
    times: dict[tuple[str, str], list[tuple[float, float]]] = {}
    tasks = [task for task in TASKS if wanted(task)]
    for _ in range(rounds):
        for task in tasks:
            for peer, commands in bench.peers.items():
                if task in commands:
                    times.setdefault((task, peer), []).append(bench.run(commands[task]))
    middle = {key: tuple(map(statistics.median, zip(*found, strict=True)))
              for key, found in times.items()}  # fmt: skip
    print(f"{bench.utterances} utterances, {rounds} rounds, medians: seconds (CPU seconds)")
    print(f"{'':52}" + "".join(f"{peer:>16}" for peer in bench.peers))
    for task in tasks:
        cells = [middle.get((task, peer)) for peer in bench.peers]
        shown = [f"{cell[0]:.2f} ({cell[1]:.2f})" if cell else "-" for cell in cells]
        title = f"{task}: {TASKS[task]}"
        print(f"{title:<52}" + "".join(f"{text:>16}" for text in shown))
    for task in tasks:
        wall, cpu = middle[task, OURS]
        for peer in list(bench.peers)[1:]:
            if (task, peer) in middle:
                print(f"BENCH name=prep_{task} value={wall:.2f} unit=s "
                      f"ratio={middle[task, peer][1] / cpu:.2f} against={peer.replace(' ', '_')}")


def main(argv: list[str] | None = None) -> int:
    """Run the comparison; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="tasks with this in their name")
    parser.add_argument("--work", type=Path, help="where files are made (default: temporary)")
    args = parser.parse_args(argv)
    if args.work:
        args.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        started = time.perf_counter()
        bench = Bench(Path(folder), args.utterances)
        print(f"files made in {time.perf_counter() - started:.0f} s", file=sys.stderr)
        measure(bench, args.rounds, lambda task: args.only in task)
    return 0


if __name__ == "__main__":
    sys.exit(main())
