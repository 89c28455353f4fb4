"""The log in files: closed segments of the topics, for as long as the folder is kept.

A segment is a file of zstd-compressed JSON Lines and a manifest beside it; the manifest makes it part of the archive.
"""
