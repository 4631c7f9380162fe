"""Container images made on this machine from Debian packages, for when no registry answers."""
