"""A private prediction server to copy from:

verifies the gateway's signature, answers with a baseline forecast.
"""
