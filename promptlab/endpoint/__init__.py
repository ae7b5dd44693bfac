"""The endpoint: everything that touches the wire, behind the Transport that `drive` runs flows over.

Start at pool.py. A request goes limiter → client → validate, and round again by retry where fault says so;
what is fatal for the whole run leaves through remedy.
"""
