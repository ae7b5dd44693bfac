"""doctor: what an endpoint really does with a request, found by about fifteen small calls.

Start at asks.py (what is sent), then judges.py (what is concluded from the answers, one small function for each line
of the table). Both are pure; examine.py alone touches the wire.
"""
