"""What runs in a process of its own and alone touches the pixels of strangers: `python -m decoder` in the folder above.

It imports nothing of ours from outside this folder, so it starts fast, stays small and knows no secret.
"""
