"""A campaign of random kills under load: what runs, what strikes it, and what must hold whatever did."""
