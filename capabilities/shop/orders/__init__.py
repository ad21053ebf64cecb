"""Orders: placed by buyers, confirmed by their payment, shipped by staff, cancelled by either while there is time."""
