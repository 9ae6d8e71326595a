"""Reminders of what the clock will do: terms that end, minors who come of age.

tables     which reminders were made
service    making them, by the worker beside the servers; reading them
routes     /v1/reminders
"""
