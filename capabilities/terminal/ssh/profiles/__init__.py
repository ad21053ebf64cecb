"""Servers, and who the user is there; and trying to connect to one."""
