"""Money of an order that goes back, all or a part of it, with or without the goods."""
