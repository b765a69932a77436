"""``python -m cascaderank.cli``, for where the script is not on the path."""

from __future__ import annotations

import sys

from cascaderank.cli.main import main

sys.exit(main())
