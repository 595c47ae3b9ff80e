-- How many rows of the watched table have which status: the ten most frequent and those of $1, and how many there are
-- in all. The placeholders stand for the table's expressions.
SELECT value, n, of
  FROM (SELECT value, n, count(*) OVER () AS of, row_number() OVER (ORDER BY n DESC, value) AS nth
          FROM (SELECT CASE WHEN %[2]s IS DISTINCT FROM NULL THEN %[3]s END AS value, count(*) AS n
                  FROM %[1]s
                 GROUP BY 1) counted) ranked
 WHERE nth <= 10 OR value = ANY ($1::text[])
 ORDER BY n DESC, value
