"""What Stripe shows a customer: checkout and the billing portal, as objects of the API and as pages."""
