"""Front-ends by name, with the sections of the configuration that both systems share."""

from typing import Literal

from diarize.features.logmel import LogMel, LogMelOptions
from diarize.features.ssl_conv import SslConv, SslConvOptions
from diarize.features.ssl_full import SslFull, SslFullOptions

FrontEndName = Literal["log_mel", "ssl_conv", "ssl_full"]
FrontEnd = LogMel | SslConv | SslFull


def make_front_end(
    name: FrontEndName, log_mel: LogMelOptions, ssl_conv: SslConvOptions, ssl_full: SslFullOptions
) -> FrontEnd:
    """Return the front-end ``name`` with its options, without pretrained weights."""
    if name == "ssl_conv":
        return SslConv(ssl_conv)
    if name == "ssl_full":
        return SslFull(ssl_full)
    return LogMel(log_mel)
