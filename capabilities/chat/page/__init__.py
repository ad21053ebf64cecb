"""`/chat`: the page where people talk with the models. Its script calls the public API."""
