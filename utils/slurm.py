#!/usr/bin/env python3
"""Runs jobs by Slurm: slurm.py [options] [JOB=a:b] LOG command args...

See runners/jobs.py.  The options of sbatch for --mem, --gpu and so on are configured in --config,
by default conf/slurm.conf, in the format of Kaldi's slurm.pl.
"""

import sys

# The directory of this file contains a queue.py, which must not hide the standard library's.
sys.path.insert(0, sys.path.pop(0) + "/runners")

import cluster

CONFIG = """
command sbatch --export=ALL
option mem=* --mem $0
option mem=0
option num_threads=* --cpus-per-task $0
option time=* --time $0
default gpu=0
option gpu=0
option gpu=* --gres=gpu:$0
"""


def main() -> int:
    """Return 0 if all jobs succeeded, else 1."""
    return cluster.main_of(
        cluster.System(
            prog="slurm.py",
            config_file="conf/slurm.conf",
            config=CONFIG,
            task_variable="SLURM_ARRAY_TASK_ID",
            array_flag="--array",
            array_limit="",
            name_flag="--job-name",
            log_flag="--output",
            index_in_log="%a",
            query=("squeue", "--noheader", "--array", "--format=%F %K", "--jobs={id}"),
            gone="Invalid job id",
            cancel=("scancel",),
            state=("scontrol", "--oneliner", "show", "job"),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
