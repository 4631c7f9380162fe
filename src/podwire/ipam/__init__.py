"""Where addresses come from (wire server, file) and the ledger of who holds what."""
