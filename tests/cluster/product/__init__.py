"""The product on a cluster: its image, a Postgres, the operator, and the tests of what it promises there."""
