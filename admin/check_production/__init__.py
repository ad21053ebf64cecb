"""`flask check-production`: whether a deployment is as docs/deployment.md promises, asked of the deployment itself.

One file for each subject. A capability hands in its own checks (`Built.checks`).
"""
