"""Sweeps: many runs of one command, here or on a cluster, that end complete or say why not."""
