"""Decisions: the rules in `policies/`, the engine that applies them, the facts it applies them to.

bundle    the rule files as one value with a digest
facts     consents and licences of a version -> what rules may see of it
question  a `PolicyContext` as Cedar sees it
narrowing  what of a version's sets a question can turn on
explain   what a rule says of itself; reasons in words
engine    the `PolicyEngine` port; `enforce`
cedar     the engine on Cedar
clauses   a rule taken apart: which of its clauses hold
sources   the records, with page and clause, that a fact rests on
nearest   the nearest change that turns a refusal into a permit
cases     `cases.yaml`: what a bundle should answer
compare   two bundles beside each other
replay    recorded decisions under proposed policies or terms
recheck   a recorded decision made again by the policies that it names

engine = CedarEngine(load_bundle(Path("policies")))
decision = enforce(engine, PolicyContext(domain=PolicyDomain.COMPOSITION, action="compose", ...))
"""
