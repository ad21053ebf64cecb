"""AI providers behind one interface. They know nothing of users, limits or charges: a capability calls them in a metered call."""
