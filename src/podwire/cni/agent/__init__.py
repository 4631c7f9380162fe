"""The resident agent: the plugins' code in a process that stays, asked over a unix socket."""
