"""The cases of each rule, and the resources that they share."""
