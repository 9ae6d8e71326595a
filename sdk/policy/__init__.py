"""Decisions: the rules in `policies/`, the engine that applies them, the facts it applies them to.

bundle    the rule files as one value with a digest
facts     consents and licences of a version -> what rules may see of it
explain   what a rule says of itself; reasons in words
engine    the `PolicyEngine` port; `enforce`
cedar     the engine on Cedar

engine = CedarEngine(load_bundle(Path("policies")))
decision = enforce(engine, PolicyContext(domain=PolicyDomain.COMPOSITION, action="compose", ...))
"""
