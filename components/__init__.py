"""The pieces of statecast, each a Pulumi component that other programs can use too."""
