"""The policy pack `statecast`, for any stack on `pulumi_aws`: it imports nothing else of this project.

`rules/` has a module for each family of rules; `rule.py` makes policies of them that cannot fail silently;
`stack.py` reads resources whose values are not known yet; `queues.py` knows the dead letter queues and what
watches them; `document.py` reads IAM policy documents.
"""
