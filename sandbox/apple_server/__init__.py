"""An App Store on one machine: what it sells, what it signs, what it tells our server.

Start with `server.py`. Nothing here is Apple's: the certificates, keys and ids are made at every start.
"""
