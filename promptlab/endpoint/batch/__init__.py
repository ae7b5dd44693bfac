"""Requests sent as batches: files up, jobs followed, answers down, and what outlives a kill."""
