"""The program in the pods of azure-ip-masq-agent: which destinations see a pod's own address.

Runs in an image of its own, with Python's standard library and PyYAML alone; so it imports nothing
of Podwire.
"""
