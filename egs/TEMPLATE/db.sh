# shellcheck shell=bash disable=SC2034
# Where the corpora lie, already unpacked.  Nothing is downloaded without being asked.
# A value here may be overridden by the environment: LIBRISPEECH=/my/place ./run.sh
LIBRISPEECH=${LIBRISPEECH:-}
AMI=${AMI:-}
ALIMEETING=${ALIMEETING:-}
AISHELL4=${AISHELL4:-}
RAMC=${RAMC:-}
VOXCONVERSE=${VOXCONVERSE:-}
DIHARD3_DEV=${DIHARD3_DEV:-}
DIHARD3_EVAL=${DIHARD3_EVAL:-}
CALLHOME=${CALLHOME:-}
SPEECHOCEAN762=${SPEECHOCEAN762:-}
MUSAN=${MUSAN:-}
RIRS_NOISES=${RIRS_NOISES:-}
DISPLACE=${DISPLACE:-}
SOAPIES=${SOAPIES:-}
FLEURS=${FLEURS:-}
