"""The policy pack `statecast`, for any stack on `pulumi_aws`: it imports nothing else of this project.

`rules/` has a file for each rule; `rule.py` makes a policy of it that cannot fail silently; `stack.py` reads
resources whose values are not known yet; `queues.py` knows the dead letter queues and what watches them.
"""
