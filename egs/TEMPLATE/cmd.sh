# shellcheck shell=bash
# Job backends.  Kaldi's own queue.pl and slurm.pl can be used as well.
#   local: on this machine; sge: grid engine (conf/queue.conf); slurm (conf/slurm.conf)
# train_cmd: many small CPU jobs; cuda_cmd: training; decode_cmd: inference.
cmd_backend=${cmd_backend:-local}

case "$cmd_backend" in
  local) train_cmd=run.py cuda_cmd=run.py decode_cmd=run.py ;;
  sge) train_cmd=queue.py cuda_cmd=queue.py decode_cmd=queue.py ;;
  slurm) train_cmd=slurm.py cuda_cmd=slurm.py decode_cmd=slurm.py ;;
  *) echo "cmd.sh: cmd_backend is local, sge or slurm, not '$cmd_backend'" >&2; exit 1 ;;
esac
export train_cmd cuda_cmd decode_cmd
