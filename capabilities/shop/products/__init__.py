"""What is for sale: the catalogue, its search, and the stock that staff keep."""
