"""`python -m podwire.cni.agent`."""

import sys

from podwire.cni.agent.main import main

sys.exit(main())
