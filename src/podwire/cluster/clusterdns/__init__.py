"""The cluster's DNS: a program of its own in a pod, with the standard library and dnslib alone.

These files are copied into an image, so they import nothing else of Podwire.
"""
