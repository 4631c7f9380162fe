"""`python3 -m ipmasqagent` in the image."""

from .agent import main

main()
