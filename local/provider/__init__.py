"""The local `aws` provider: plans any type of `pulumi_aws`, makes those in its tables on the emulator."""
