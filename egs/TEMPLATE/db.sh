# shellcheck shell=bash disable=SC2034
# Directories of the unpacked corpora.  Nothing is downloaded without request.
# The environment overrides a value: LIBRISPEECH=/my/place ./run.sh
LIBRISPEECH=${LIBRISPEECH:-}
AMI=${AMI:-}
AMI_SETUP=${AMI_SETUP:-}                # clone of BUTSpeechFIT/AMI-diarization-setup
ALIMEETING=${ALIMEETING:-}
AISHELL4=${AISHELL4:-}
RAMC=${RAMC:-}
VOXCONVERSE=${VOXCONVERSE:-}
VOXCONVERSE_REFERENCES=${VOXCONVERSE_REFERENCES:-}  # clone of joonson/voxconverse
DIHARD3_DEV=${DIHARD3_DEV:-}
DIHARD3_EVAL=${DIHARD3_EVAL:-}
CALLHOME=${CALLHOME:-}
CALLHOME_KEY=${CALLHOME_KEY:-}          # sre2000-key of SLR 10
SPEECHOCEAN762=${SPEECHOCEAN762:-}
WORDS=${WORDS:-}                        # data directory of single words, for speechocean762 --long
CLIPS=${CLIPS:-}                        # data directory of ESC clips, likewise
MUSAN=${MUSAN:-}
RIRS_NOISES=${RIRS_NOISES:-}
DISPLACE=${DISPLACE:-}
SOAPIES=${SOAPIES:-}
FLEURS=${FLEURS:-}
