"""What is sold: products, prices and coupons."""
