-- A place kept for the tables of `metrics`, which come by a branch of their own.
SELECT 1;
