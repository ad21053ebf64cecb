"""The process that holds sockets open: `flask realtime run`."""
