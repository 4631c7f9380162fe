"""The daemon: desired resources, reconciler, supervision."""
