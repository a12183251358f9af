"""What people prefer: a web page that shows videos in pairs, and what their answers say.

Nothing is imported here: `conduct.py` is where to begin, and needs the heavy rooms; the file of answers and
what is reckoned from it need none of them.
"""
