"""Datasets packed into tar files that may lie far away: written, and read like folders."""
