"""Replay: allocators compared on recorded scores, without an endpoint.

The allocators are those that mining uses, on views made from a matrix of scores; what they ask is looked up.
"""
