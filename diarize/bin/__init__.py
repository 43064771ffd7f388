"""Commands, one per module.

Importing this package ends with a message if ``diarize`` is the package of another project: the
package index has one of that name, and ``pip install diarize`` writes it over this one.
"""

import sys

import diarize

if getattr(diarize, "DISTRIBUTION", None) != "diarize-m2f":
    sys.exit(
        f"diarize-m2f: error: {diarize.__file__} belongs to another project named diarize; "
        "run 'pip uninstall diarize', then install diarize-m2f again"
    )
