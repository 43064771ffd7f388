#!/usr/bin/env python3
"""Runs jobs by grid engine: queue.py [options] [JOB=a:b] LOG command args...

See runners/jobs.py.  The options of qsub for --mem, --gpu and so on are configured in --config,
by default conf/queue.conf, in the format of Kaldi's queue.pl.
"""

import sys

# The directory of this file contains a queue.py, which must not hide the standard library's.
sys.path.insert(0, sys.path.pop(0) + "/runners")

import cluster

CONFIG = """
command qsub -V -cwd -S /bin/bash -j y
option mem=* -l mem_free=$0,ram_free=$0
option mem=0
option num_threads=* -pe smp $0
option num_threads=1
option time=* -l h_rt=$0
default gpu=0
option gpu=0
option gpu=* -l gpu=$0
"""


def main() -> int:
    """Return 0 if all jobs succeeded, else 1."""
    return cluster.main_of(
        cluster.System(
            prog="queue.py",
            config_file="conf/queue.conf",
            config=CONFIG,
            task_variable="SGE_TASK_ID",
            array_flag="-t",
            array_limit="-tc",
            name_flag="-N",
            log_flag="-o",
            index_in_log="$TASK_ID",
            query=("qstat", "-g", "d"),
            gone="do not exist",
            cancel=("qdel",),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
